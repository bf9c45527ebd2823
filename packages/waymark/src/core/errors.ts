import type { LeaseId, Revision } from './engine.js';

/** Every way a call can fail. Branch on this, never on the message. docs/reference/errors.md explains each. */
export const errorCodes = [
  'taken',
  'locked',
  'exhausted',
  'limit_mismatch',
  'lost',
  'timeout',
  'unavailable',
  'uncertain',
  'superseded',
  'compacted',
  'future_revision',
  'conflict',
  'not_found',
  'too_large',
  'invalid',
  'unauthenticated',
  'denied',
  'overloaded',
  'storage_full',
  'corrupt',
  'internal',
  'failed',
] as const;

export type ErrorCode = (typeof errorCodes)[number];

/** Facts that go with an error; which ones depends on the code. All are plain JSON. */
export interface ErrorFacts {
  readonly path?: string | undefined;
  readonly namespace?: string | undefined;
  /** The holder in the way: its owner name and fencing token. */
  readonly holder?: string | undefined;
  readonly token?: number | undefined;
  /** The limit that was passed, by its name in core/limits.ts, and its value. */
  readonly limit?: string | undefined;
  readonly max?: number | undefined;
  readonly actual?: number | undefined;
  /** The compaction point: history below it is gone. */
  readonly compacted?: Revision | undefined;
  readonly revision?: Revision | undefined;
  readonly lease?: LeaseId | undefined;
  /** Where a name stands in its list, from 0. */
  readonly positions?: readonly number[] | undefined;
  readonly file?: string | undefined;
  readonly offset?: number | undefined;
  readonly retryAfterMs?: number | undefined;
  /** Of a message that was not delivered: which it was, to whom, and whether a handler may have seen it. */
  readonly outcome?: 'refused' | 'unknown' | undefined;
  readonly member?: string | undefined;
  readonly seen?: boolean | undefined;
}

/** The one error class of Waymark. */
export class WaymarkError extends Error {
  override readonly name = 'WaymarkError';
  readonly code: ErrorCode;
  readonly facts: ErrorFacts;

  constructor(code: ErrorCode, message: string, facts: ErrorFacts = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.facts = facts;
  }

  /** `{ code, message, …facts }`, the shape every face answers with. */
  toJSON(): { code: ErrorCode; message: string } & ErrorFacts {
    return { code: this.code, message: this.message, ...this.facts };
  }
}

/** Why a wait ends whose caller is out of reach: its place stays, as it may come back and ask again with the same id. */
export const leftToLease = new WaymarkError('unavailable', 'the caller of this wait is gone');

export function isWaymarkError(error: unknown, code?: ErrorCode): error is WaymarkError {
  return error instanceof WaymarkError && (code === undefined || error.code === code);
}

const unansweredCodes: readonly ErrorCode[] = [
  'unavailable',
  'uncertain',
  'overloaded',
  'storage_full',
];

/** Whether a call failed without an answer: asking the same again later may bring one. */
export function unanswered(error: unknown): boolean {
  return isWaymarkError(error) && unansweredCodes.includes(error.code);
}

/** A broken invariant of Waymark itself, never a user's mistake: it stops what relied on it. */
export function assert(holds: unknown, what: string): asserts holds {
  if (!holds) throw new WaymarkError('internal', `broken invariant: ${what}`);
}
