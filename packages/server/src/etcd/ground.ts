import { createHash } from 'node:crypto';
import type { Clock, Engine, Host, Random, Revision } from 'waymark/engine';
import type { Call } from '../grpc/call.js';

/** What the services of etcd's API stand on. */
export interface Ground {
  readonly engine: Engine;
  readonly host: Host;
  readonly clock: Clock;
  readonly random: Random;
  /** Served unless a call names another in its metadata. */
  readonly namespace: string;
  /** A watch that asks for progress hears of it so often while there are no events. */
  readonly progressNotifyMs: number;
  readonly header: (revision: Revision) => Header;
  readonly ids: Ids;
}

export interface Ids {
  readonly clusterId: bigint;
  readonly memberId: bigint;
}

export interface Header extends Ids {
  readonly revision: bigint;
  readonly raftTerm: bigint;
}

/** The metadata key by which a call names the namespace it means. */
export const namespaceKey = 'waymark-namespace';

/** There are no elections here that a client would see: the term of a cluster's first leader, always. */
export const raftTerm = 2n;

/** A server is a cluster of one, named by its engine: its revisions mean nothing elsewhere. */
export function idsOf(identity: string): Ids {
  const hash = createHash('sha256').update(identity).digest();
  return { clusterId: hash.readBigUInt64BE(0), memberId: hash.readBigUInt64BE(8) };
}

export function headerOf(ids: Ids): (revision: Revision) => Header {
  return (revision) => ({ ...ids, revision: BigInt(revision), raftTerm });
}

export function namespaceOf(ground: Ground, call: Call): string {
  return call.metadata(namespaceKey) ?? ground.namespace;
}
