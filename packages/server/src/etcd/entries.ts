import type { KeyValueSchema, MessageInitShape } from 'waymark/etcd';
import { bytesToArray, type Entry } from 'waymark/engine';
import { bareKey } from './key-area.js';

export type KeyValueInit = MessageInitShape<typeof KeyValueSchema>;

export function keyValueOf(entry: Entry): KeyValueInit {
  return {
    key: bytesToArray(bareKey(entry.key)),
    value: bytesToArray(entry.value),
    createRevision: BigInt(entry.createRevision),
    modRevision: BigInt(entry.modRevision),
    version: BigInt(entry.version),
    lease: BigInt(entry.lease),
  };
}

/** What int64 can say and a safe integer cannot lies beyond every revision and version there is. */
export function clamped(value: bigint): number {
  const most = BigInt(Number.MAX_SAFE_INTEGER);
  return Number(value > most ? most : value < -most ? -most : value);
}
