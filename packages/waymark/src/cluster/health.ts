import type { EtcdClient } from '../engines/etcd/etcd-client.js';
import { speaks } from './cluster-tls.js';
import {
  type ClientOptions,
  type MemberState,
  membersOf,
  removed,
  stateOf,
  withClient,
} from './etcd-members.js';
import { addressOf, type MemberFile, type Peer, peerUrl } from './member-file.js';

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
  /** Its etcd runs, and can be reached. */
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

export interface LookOptions extends ClientOptions {
  /** Asks the others also when this one follows a leader. */
  readonly thorough: boolean;
  /** Another member answers within this, or is silent. */
  readonly withinMs: number;
}

interface Seen {
  readonly peer: Peer;
  readonly state: MemberState | null;
  /** As it knows them; null when it cannot tell. */
  readonly members: readonly Peer[] | null;
  /** Its etcd runs. One that was started without a majority answers no clients, only its like. */
  readonly lives: boolean;
}

/**
 * How the cluster looks from this member.
 *
 * @param own  a client on this member's etcd alone
 */
export async function look(
  file: MemberFile,
  own: EtcdClient,
  options: LookOptions,
): Promise<Health> {
  const state = await stateOf(own).catch(() => null);
  const known = state === null || state.learner ? null : await membersOf(own).catch(() => null);
  const members = known ?? file.members;
  const id = state?.id ?? file.id;
  const self = members.find((peer) => peer.id === id);
  const well = state !== null && state.leader !== '0' && self !== undefined;
  const others = well && !options.thorough ? [] : members.filter((peer) => peer.id !== id);
  const [lives, ...seen] = await Promise.all([
    state !== null || speaks(peerUrl(file), file, options.withinMs),
    ...others.map((peer) => probe(peer, options)),
  ]);
  return judge({ file, members, id, own: state, lives, seen });
}

async function probe(peer: Peer, options: LookOptions): Promise<Seen> {
  const [asked, ...lives] = await Promise.all([
    askPeer(peer, options),
    ...peer.peerUrls.map((url) => speaks(url, options.file, options.withinMs)),
  ]);
  if (asked !== null) return { peer, ...asked, lives: true };
  return { peer, state: null, members: null, lives: lives.includes(true) };
}

async function askPeer(
  { clientUrls }: Peer,
  options: LookOptions,
): Promise<(Pick<Seen, 'members'> & { readonly state: MemberState }) | null> {
  if (clientUrls.length === 0) return null;
  const asked = withClient(
    clientUrls.map(addressOf),
    options.withinMs,
    options,
    async (client) => ({
      state: await stateOf(client),
      members: await membersOf(client).catch(() => null),
    }),
  );
  return await asked.catch(() => null);
}

interface Sight {
  readonly file: MemberFile;
  readonly members: readonly Peer[];
  /** Of this member, if it is known. */
  readonly id: string | null;
  readonly own: MemberState | null;
  /** This member's etcd runs. */
  readonly lives: boolean;
  /** Empty when nobody was asked, as all is well. */
  readonly seen: readonly Seen[];
}

function judge(sight: Sight): Health {
  const { members, id, own, seen, lives } = sight;
  const living = new Set(seen.flatMap((other) => (other.lives ? [other.peer.id] : [])));
  if (lives && id !== null) living.add(id);
  const leader = leaderOf(own, seen);
  const health = members.map((peer) => ({
    ...peer,
    answers: seen.length === 0 ? own !== null : living.has(peer.id),
    leads: peer.id === leader,
  }));
  const state = stateOfMember(sight, leader, living);
  return { state, own, members: health, why: explain(state, health) };
}

function leaderOf(own: MemberState | null, seen: readonly Seen[]): string {
  const leaders = [own, ...seen.map(({ state }) => state)].map((state) => state?.leader ?? '0');
  return leaders.find((leader) => leader !== '0') ?? '0';
}

function stateOfMember(
  { file, id, own, seen, members, lives }: Sight,
  leader: string,
  living: ReadonlySet<string>,
): ClusterState {
  if (file.gone !== null) return file.gone;
  // Only who follows a leader can tell who is no member: others may be behind.
  const lists = seen.flatMap(({ state, members: list }) =>
    state !== null && state.leader !== '0' && list !== null ? [list] : [],
  );
  if (id !== null && lists.some((list) => list.every((peer) => peer.id !== id))) return 'removed';
  if (own?.learner === true) return 'learner';
  if (own !== null && own.leader !== '0') return 'member';
  const voters = members.filter(({ learner }) => !learner);
  if (leader !== '0' || !lives || voters.length === 0) return 'starting';
  const enough = Math.floor(voters.length / 2) + 1;
  return voters.filter((peer) => living.has(peer.id)).length >= enough ? 'electing' : 'no_majority';
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
