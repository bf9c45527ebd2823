import type { Clock, Random } from '../core/clock.js';
import { WaymarkError } from '../core/errors.js';
import { EtcdClient } from '../engines/etcd/etcd-client.js';
import { parseEtcdUrl } from '../engines/etcd/etcd-url.js';
import { Cluster, Maintenance, type Member } from '../engines/etcd/gen/etcd_pb.js';
import { loadGrpc } from '../engines/etcd/grpc.js';
import { etcdUrl, type TlsFiles } from './cluster-tls.js';
import { addressOf, type Peer } from './member-file.js';

export interface ClientOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** How the members are spoken to. */
  readonly file: TlsFiles;
}

/** What one member says of itself. */
export interface MemberState {
  readonly id: string;
  readonly version: string;
  /** Id of the leader that it follows; '0': it knows none. */
  readonly leader: string;
  readonly learner: boolean;
  readonly applied: bigint;
  readonly bytes: number;
}

/** Membership is changed, and refused with passing reasons for 5 s after each change: so long, and more, it is tried again. */
export const changeMs = 20_000;

/** Runs work with a client on these addresses, `host:port`. */
export async function withClient<T>(
  addresses: readonly string[],
  timeoutMs: number,
  options: ClientOptions,
  work: (client: EtcdClient) => Promise<T>,
): Promise<T> {
  const target = parseEtcdUrl(etcdUrl(addresses, options.file, { timeoutMs }));
  const client = new EtcdClient(await loadGrpc(), target, options);
  try {
    return await work(client);
  } finally {
    client.close();
  }
}

export async function stateOf(client: EtcdClient): Promise<MemberState> {
  const answer = await client.call(Maintenance.method.status, {}, { kind: 'read' });
  return {
    id: String(answer.header?.memberId ?? 0n),
    version: answer.version,
    leader: String(answer.leader),
    learner: answer.isLearner,
    applied: answer.raftAppliedIndex,
    bytes: Number(answer.dbSizeInUse),
  };
}

/** As the member asked knows them: without asking the others, so that it answers without a majority too. */
export async function membersOf(client: EtcdClient): Promise<Peer[]> {
  const { members } = await client.call(
    Cluster.method.memberList,
    { linearizable: false },
    { kind: 'read' },
  );
  return members.map(peerOf);
}

/** @returns all members, the new learner among them @throws {WaymarkError} `conflict`, `unavailable` */
export async function addLearner(client: EtcdClient, peerUrl: string): Promise<Peer[]> {
  const call = { kind: 'write', timeoutMs: changeMs } as const;
  try {
    const request = { peerURLs: [peerUrl], isLearner: true };
    return (await client.call(Cluster.method.memberAdd, request, call)).members.map(peerOf);
  } catch (error) {
    // Whoever adds it twice is told that it is there: the first time may have been without an answer.
    const members = await membersOf(client);
    if (members.some((peer) => isUnstarted(peer, peerUrl))) return members;
    throw error;
  }
}

function isUnstarted({ name, learner, peerUrls }: Peer, peerUrl: string): boolean {
  return name === '' && learner && peerUrls.includes(peerUrl);
}

/** Makes a voter of a learner that has caught up. @throws {WaymarkError} `unavailable` while it has not; `superseded` for no member */
export async function promote(client: EtcdClient, id: string): Promise<void> {
  const peer = (await membersOf(client)).find((member) => member.id === id);
  if (peer === undefined) throw removed();
  if (!peer.learner) return;
  await client.call(Cluster.method.memberPromote, { ID: BigInt(id) }, { kind: 'write' });
}

/** Does nothing for one that is none. Within the client's time. */
export async function removeMember(client: EtcdClient, id: string): Promise<void> {
  try {
    await client.call(Cluster.method.memberRemove, { ID: BigInt(id) }, { kind: 'write' });
  } catch (error) {
    if ((await membersOf(client)).some((member) => member.id === id)) throw error;
  }
}

/** It ends itself when it is removed: then another leads at once. */
export async function moveLeader(client: EtcdClient, to: string): Promise<void> {
  await client.call(Maintenance.method.moveLeader, { targetID: BigInt(to) }, { kind: 'write' });
}

export function removed(how: 'left' | 'removed' = 'removed'): WaymarkError {
  const what = how === 'left' ? 'has left' : 'was removed from';
  return new WaymarkError(
    'superseded',
    `this member ${what} its cluster: to be one again, run \`waymark cluster join DIR\` with a new token`,
  );
}

/** `host:port` of each that takes clients. */
export function clientAddresses(members: readonly Peer[]): string[] {
  const voters = members.filter(({ learner }) => !learner);
  return voters.flatMap(({ clientUrls }) => clientUrls.map(addressOf));
}

function peerOf({ ID, name, peerURLs, clientURLs, isLearner }: Member): Peer {
  return {
    id: String(ID),
    name,
    peerUrls: peerURLs,
    clientUrls: clientURLs,
    learner: isLearner,
  };
}
