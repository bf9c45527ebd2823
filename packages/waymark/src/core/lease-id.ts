import type { LeaseId } from './engine.js';
import { WaymarkError } from './errors.js';

/**
 * A lease's id is an int64, as in etcd. Nearly all are safe integers and stay numbers, which cost nothing; the others are their decimal
 * digits as a string. Each id so has one form: `===`, a Map and JSON tell ids apart as they are. docs/decisions/0017-lease-ids.md.
 */

const [least, most] = [-(2n ** 63n), 2n ** 63n - 1n];
const canonical = /^-?[1-9]\d{15,18}$/;

/** Any number of 64 bits in its one form; 0 for "no lease". */
export function toLeaseId(id: bigint): LeaseId {
  const number = Number(id);
  return Number.isSafeInteger(number) ? number : `${id}`;
}

/**
 * @param text  decimal digits, as people and other programs write an id
 * @throws {WaymarkError} `invalid` for what is no id of a lease
 */
export function parseLeaseId(text: string): LeaseId {
  const id = /^-?\d{1,20}$/.test(text) ? toLeaseId(BigInt(text)) : 0;
  if (!isLeaseId(id)) throw noLeaseId(text);
  return id;
}

/** Whether it is an id in its one form. 0 is none. */
export function isLeaseId(id: unknown): id is LeaseId {
  if (typeof id === 'number') return Number.isSafeInteger(id) && id !== 0;
  if (typeof id !== 'string' || !canonical.test(id)) return false;
  const value = BigInt(id);
  return value >= least && value <= most && !Number.isSafeInteger(Number(value));
}

/** @throws {WaymarkError} `invalid` for what cannot be a lease's id */
export function validateLeaseId(id: unknown): void {
  if (!isLeaseId(id)) throw noLeaseId(id);
}

/** Below 0, 0 or above, as `a` is less, the same or greater. */
export function compareLeaseIds(a: LeaseId, b: LeaseId): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  const difference = BigInt(a) - BigInt(b);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

/** Whether a varint of an unsigned number says it. */
export function isPlainLeaseId(id: LeaseId): id is number {
  return typeof id === 'number' && id >= 0;
}

/** The varint of an id that is not plain: its two's complement, seven bits a byte, the lowest first, as protobuf has an int64. */
export function leaseIdBytes(id: LeaseId): Uint8Array {
  validateLeaseId(id);
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(id));
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Uint8Array.from([...bytes, Number(rest)]);
}

/** @param next  gives the bytes of any varint, one by one. @returns null where it is longer than 64 bits */
export function readLeaseId(next: () => number): LeaseId | null {
  let value = 0n;
  for (let shift = 0n; shift < 70n; shift += 7n) {
    const byte = next();
    value |= BigInt(byte & 127) << shift;
    if (byte < 128) return value < 2n ** 64n ? toLeaseId(BigInt.asIntN(64, value)) : null;
  }
  return null;
}

function noLeaseId(id: unknown): WaymarkError {
  const text =
    'a lease id is a whole number of 64 bits but 0, as a string where it is beyond 2^53-1';
  return new WaymarkError('invalid', `${text}, not ${String(id)}`);
}
