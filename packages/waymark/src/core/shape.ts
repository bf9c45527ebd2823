import type { ByteString, LeaseId } from './engine.js';

/**
 * What a call's arguments and result look like, as data: the wire reads and writes them by it, so a recipe says it once and needs
 * no code of its own there.
 */
export interface Shape<T> {
  readonly kind:
    | 'text'
    | 'bytes'
    | 'blob'
    | 'whole'
    | 'leaseId'
    | 'number'
    | 'flag'
    | 'optional'
    | 'nullable'
    | 'list'
    | 'record'
    | 'choice'
    | 'json';
  /** Of an optional, a nullable and a list. */
  readonly of?: Shape<unknown>;
  /** Of a record, in the order in which they lie on the wire: append only. */
  readonly fields?: readonly (readonly [string, Shape<unknown>])[];
  /** Of a choice, which lies on the wire as its position: append only. */
  readonly options?: readonly string[];
  /** Not there: only to tell the type. */
  readonly '~type'?: T;
}

export type TypeOf<S> = S extends Shape<infer T> ? T : never;

/** Text as UTF-8. */
export const text: Shape<string> = { kind: 'text' };
export const bytes: Shape<ByteString> = { kind: 'bytes' };
/** Bytes that nobody compares or sorts: many, as an array. */
export const blob: Shape<Uint8Array> = { kind: 'blob' };
/** A whole number from 0 to 2^53-1. */
export const whole: Shape<number> = { kind: 'whole' };
/** The id of a lease, or 0. */
export const leaseId: Shape<LeaseId> = { kind: 'leaseId' };
/** Any number. */
export const number: Shape<number> = { kind: 'number' };
export const flag: Shape<boolean> = { kind: 'flag' };

/** What is for people, and grows: as JSON, unchecked. For results alone. */
export function json<T>(): Shape<T> {
  return { kind: 'json' };
}

export function optional<T>(of: Shape<T>): Shape<T | undefined> {
  return { kind: 'optional', of };
}

export function nullable<T>(of: Shape<T>): Shape<T | null> {
  return { kind: 'nullable', of };
}

export function list<T>(of: Shape<T>): Shape<readonly T[]> {
  return { kind: 'list', of };
}

export function choice<const T extends string>(...options: readonly T[]): Shape<T> {
  return { kind: 'choice', options };
}

type Fields = Readonly<Record<string, Shape<unknown>>>;

export function record<F extends Fields>(
  fields: F,
): Shape<{ readonly [K in keyof F]: TypeOf<F[K]> }> {
  return { kind: 'record', fields: Object.entries(fields) };
}
