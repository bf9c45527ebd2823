import type { ServiceError } from '@grpc/grpc-js';
import { type ErrorCode, isWaymarkError, WaymarkError } from '../../core/errors.js';

/** Status codes of gRPC that tell something by themselves. */
const grpc = {
  cancelled: 1,
  deadlineExceeded: 4,
  resourceExhausted: 8,
  unimplemented: 12,
  unavailable: 14,
  unauthenticated: 16,
} as const;

/** What a call may have done by the time it failed: a read changes nothing, a write may have been applied. */
export type CallKind = 'read' | 'write';

/**
 * etcd's own words for what it refuses, and has certainly not done. They are part of its API: clients match on them
 * (api/v3rpc/rpctypes/error.go).
 */
const refusals: readonly (readonly [RegExp, ErrorCode])[] = [
  [/required revision has been compacted/, 'compacted'],
  [/required revision is a future revision/, 'future_revision'],
  [/requested lease not found/, 'not_found'],
  [/key not found/, 'not_found'],
  [/lease already exists/, 'conflict'],
  [/too large lease TTL|duplicate key given/, 'invalid'],
  [/request is too large|too many operations/, 'too_large'],
  [/database space exceeded/, 'storage_full'],
  [/too many requests/, 'overloaded'],
  [/permission denied/, 'denied'],
  [/authentication failed|user name is empty|authentication is not enabled/, 'unauthenticated'],
  [/corrupt/, 'corrupt'],
  [
    /no leader|not capable|rpc not supported for learner|proposal dropped|unhealthy cluster|not started|learner/,
    'unavailable',
  ],
];

const staleToken = /invalid auth token|revision of auth store is old/;
/** The client's own words for a request that never left it. */
const unsent = /No connection established|Name resolution failed|Waiting for LB pick/i;

/** Told by a call's status, or by the reason with which etcd ends a watch. */
export function isStaleToken(error: unknown): boolean {
  const { details, message } = (error ?? {}) as Partial<ServiceError>;
  return staleToken.test(details ?? message ?? '');
}

/** Whether etcd refused a put for its lease, and not for the key it was to keep something of. */
export function isLeaseRefusal(error: unknown): boolean {
  return isWaymarkError(error, 'not_found') && error.message.includes('lease not found');
}

/** What a failed call of gRPC means. `uncertain` only where etcd may have applied it (K11). */
export function toWaymarkError(error: unknown, kind: CallKind): WaymarkError {
  if (error instanceof WaymarkError) return error;
  const { code, details = String(error) } = error as Partial<ServiceError>;
  const [, refusal] = refusals.find(([words]) => words.test(details)) ?? [];
  if (refusal !== undefined) {
    const facts = details.includes('too many operations') ? { limit: 'operationsMax' } : {};
    return new WaymarkError(refusal, wordsOf(details), facts, error);
  }
  if (staleToken.test(details) || code === grpc.unauthenticated)
    return new WaymarkError('unauthenticated', wordsOf(details), {}, error);
  if (code === grpc.unimplemented)
    return new WaymarkError('invalid', `this etcd is too old: ${details}`, {}, error);
  const passing = code === undefined || code === grpc.cancelled || code === grpc.deadlineExceeded;
  if (unsent.test(details) || kind === 'read')
    return new WaymarkError('unavailable', reasonOf(details, passing), {}, error);
  const text = `etcd may have applied it: ${reasonOf(details, passing)}`;
  return new WaymarkError('uncertain', text, {}, error);
}

function wordsOf(details: string): string {
  return details.replace(/^etcdserver: (mvcc: )?/, 'etcd: ');
}

function reasonOf(details: string, passing: boolean): string {
  return passing ? 'etcd did not answer in time' : wordsOf(details);
}
