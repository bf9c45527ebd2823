import type { ByteString, KeyRange, LeaseId } from '../core/engine.js';
import { textToBytes } from '../core/bytes.js';
import { pathToBytes } from './paths.js';

/**
 * Where the names of one path stand, in the facet `k`. A position has five digits, so that the range of positions is in order.
 *
 *   k/web NUL p00007c12     position 7 is claimed, under lease 12
 *   k/web NUL p00007g       position 7 is kept for the owner in its value, under a lease that outlives the claim's
 *   k/web NUL q             the list
 *   k/web NUL o me NUL 12   what `me` claimed under lease 12: its position
 *   k/web NUL f me NUL 7    position 7 is kept for `me`
 *   k/web NUL w id          who waits for a name
 *
 * A position is taken while anything stands in its range: one check, whether it is claimed or kept.
 */

/** Positions, the list and who waits: all there is to tell who is called what. */
export function membersRange(path: string): KeyRange {
  return { key: `${stem(path)}p`, end: `${stem(path)}x` };
}

export function positionsRange(path: string): KeyRange {
  return { key: `${stem(path)}p`, end: `${stem(path)}q` };
}

export function listKey(path: string): ByteString {
  return `${stem(path)}q`;
}

export function waitersRange(path: string): KeyRange {
  return { key: `${stem(path)}w`, end: `${stem(path)}x` };
}

export function waiterKey(path: string, id: string): ByteString {
  return `${stem(path)}w${id}`;
}

/** All of one position. */
export function positionRange(path: string, position: number): KeyRange {
  const at = positionStem(path, position);
  return { key: at, end: `${at}h` };
}

/** The claim of one position, whatever its lease. */
export function claimRange(path: string, position: number): KeyRange {
  const at = positionStem(path, position);
  return { key: `${at}c`, end: `${at}d` };
}

export function claimKey(path: string, position: number, lease: LeaseId): ByteString {
  return `${positionStem(path, position)}c${lease}`;
}

export function keptKey(path: string, position: number): ByteString {
  return `${positionStem(path, position)}g`;
}

export function ownerKey(path: string, owner: string, lease: LeaseId): ByteString {
  return `${stem(path)}o${textToBytes(owner)}\0${lease}`;
}

/** What is kept for an owner. */
export function formerRange(path: string, owner: string): KeyRange {
  const key = `${stem(path)}f${textToBytes(owner)}`;
  return { key: `${key}\0`, end: `${key}\x01` };
}

export function formerKey(path: string, owner: string, position: number): ByteString {
  return `${formerRange(path, owner).key}${position}`;
}

/** @returns null for what is no position: the list, or who waits */
export function parsePosition(
  path: string,
  key: ByteString,
): { readonly position: number; readonly claimed: boolean } | null {
  const start = stem(path).length;
  if (key[start] !== 'p') return null;
  return { position: Number(key.slice(start + 1, start + 6)), claimed: key[start + 6] === 'c' };
}

/** Of a `formerKey`. */
export function formerPosition(key: ByteString): number {
  return Number(key.slice(key.lastIndexOf('\0') + 1));
}

function positionStem(path: string, position: number): ByteString {
  return `${stem(path)}p${String(position).padStart(5, '0')}`;
}

function stem(path: string): ByteString {
  return `k${pathToBytes(path)}\0`;
}
