import type { EtcdClient } from '../engines/etcd/etcd-client.js';
import {
  type ClientOptions,
  type MemberState,
  membersOf,
  removed,
  stateOf,
  withClient,
} from './etcd-members.js';
import { addressOf, type MemberFile, type Peer } from './member-file.js';

export type ClusterState =
  /** etcd does not answer yet, or not at the moment, or has not yet found the leader that others have. */
  | 'starting'
  /** It is catching up, and has no vote yet. */
  | 'learner'
  /** All is well: a leader is known. */
  | 'member'
  /** Too few members answer for anything to be decided. */
  | 'no_majority'
  /** Enough answer, and no leader is known yet. */
  | 'electing'
  /** It is being made a cluster of its own. */
  | 'recovering'
  /** The others have removed it. */
  | 'removed'
  /** It has left. */
  | 'left';

export interface MemberHealth extends Peer {
  readonly answers: boolean;
  readonly leads: boolean;
}

export interface Health {
  readonly state: ClusterState;
  readonly members: readonly MemberHealth[];
  /** Of this member's etcd; null while it does not answer. */
  readonly own: MemberState | null;
  /** What is wrong, and what to do; null when nothing is. */
  readonly why: string | null;
}

const probeMs = 1_000;

interface Seen {
  readonly peer: Peer;
  readonly state: MemberState | null;
  /** As it knows them; null when it cannot tell. */
  readonly members: readonly Peer[] | null;
}

/**
 * How the cluster looks from this member.
 *
 * @param own  a client on this member's etcd alone
 * @param thorough  asks the others also when this one follows a leader
 */
export async function look(
  file: MemberFile,
  own: EtcdClient,
  options: ClientOptions & { readonly thorough: boolean },
): Promise<Health> {
  const state = await stateOf(own).catch(() => null);
  const known = state === null || state.learner ? null : await membersOf(own).catch(() => null);
  const members = known ?? file.members;
  const id = state?.id ?? file.id;
  const self = members.find((peer) => peer.id === id);
  if (state !== null && state.leader !== '0' && self !== undefined && !options.thorough) {
    return judge(file, members, state, []);
  }
  const others = members.filter((peer) => peer.id !== id);
  const seen = await Promise.all(others.map((peer) => probe(peer, options)));
  return judge(file, members, state, seen);
}

async function probe(peer: Peer, options: ClientOptions): Promise<Seen> {
  const addresses = peer.clientUrls.map(addressOf);
  const unseen: Seen = { peer, state: null, members: null };
  if (addresses.length === 0) return unseen;
  return await withClient(addresses, probeMs, options, async (client) => ({
    peer,
    state: await stateOf(client),
    members: await membersOf(client).catch(() => null),
  })).catch(() => unseen);
}

function judge(
  file: MemberFile,
  members: readonly Peer[],
  own: MemberState | null,
  seen: readonly Seen[],
): Health {
  const id = own?.id ?? file.id;
  const answering = new Set(seen.flatMap(({ peer, state }) => (state === null ? [] : [peer.id])));
  if (own !== null) answering.add(own.id);
  const leader = leaderOf(own, seen);
  const health = members.map((peer) => ({
    ...peer,
    // Nobody was asked: all is well.
    answers: seen.length === 0 ? own !== null : answering.has(peer.id),
    leads: peer.id === leader,
  }));
  const state = stateOfMember({ file, id, own, seen, leader, answering, members });
  return { state, own, members: health, why: explain(state, health) };
}

function leaderOf(own: MemberState | null, seen: readonly Seen[]): string {
  const leaders = [own, ...seen.map(({ state }) => state)].map((state) => state?.leader ?? '0');
  return leaders.find((leader) => leader !== '0') ?? '0';
}

function stateOfMember(facts: {
  readonly file: MemberFile;
  readonly id: string | null;
  readonly own: MemberState | null;
  readonly seen: readonly Seen[];
  readonly leader: string;
  readonly answering: ReadonlySet<string>;
  readonly members: readonly Peer[];
}): ClusterState {
  const { file, id, own, seen, leader, answering, members } = facts;
  if (file.gone !== null) return file.gone;
  // Only who follows a leader can tell who is no member: others may be behind.
  const lists = seen.flatMap(({ state, members: list }) =>
    state !== null && state.leader !== '0' && list !== null ? [list] : [],
  );
  if (id !== null && lists.some((list) => list.every((peer) => peer.id !== id))) return 'removed';
  if (own?.learner === true) return 'learner';
  if (own !== null && own.leader !== '0') return 'member';
  const voters = members.filter(({ learner }) => !learner);
  const enough = Math.floor(voters.length / 2) + 1;
  if (voters.filter((peer) => answering.has(peer.id)).length >= enough && leader === '0')
    return 'electing';
  if (leader !== '0' || voters.length === 0) return 'starting';
  return own === null && answering.size === 0 ? 'starting' : 'no_majority';
}

function explain(state: ClusterState, members: readonly MemberHealth[]): string | null {
  if (state === 'removed' || state === 'left') return removed(state).message;
  if (state === 'learner') return 'this member is catching up, and has no vote yet';
  if (state === 'electing') return 'the members are choosing a leader';
  if (state === 'starting')
    return 'etcd does not answer yet; the end of its log is in DIR/etcd.log';
  return state === 'no_majority' ? noMajority(members) : null;
}

function noMajority(members: readonly MemberHealth[]): string {
  const voters = members.filter(({ learner }) => !learner);
  const answering = voters.filter(({ answers }) => answers);
  const silent = voters
    .filter(({ answers }) => !answers)
    .map(({ name, id, clientUrls }) => `${name || id} (${clientUrls.map(addressOf).join(', ')})`);
  return (
    `the majority is lost: ${answering.length} of ${voters.length} members answer, ${Math.floor(voters.length / 2) + 1} are needed; ` +
    `silent: ${silent.join(', ')}. Start them again. If they are gone for good: \`waymark cluster recover DIR\` on a survivor`
  );
}
