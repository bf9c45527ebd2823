import type { ByteString, KeyRange } from '../core/engine.js';
import type { HeldKeys, LockMode } from '../core/host.js';
import { bytesToPath, pathToBytes } from './paths.js';

/**
 * Where things stand in a namespace. The facet comes first, then the readable path, so a path is one key and its descendants are
 * one range (`d/a/` to `d/a0`: the char after the slash), and `/ab` is outside `/a`.
 *
 *   d/orders/42              data
 *   h/orders/42 NUL t x id   held mark: t tree or e exact, x exclusive or s shared
 *   x/orders/42 NUL t id     place of an exclusive request
 *   s/orders/42 NUL t id     place of a shared request
 *   eh/…  ex/…               marks and places of elections, as those of locks
 *   k/web NUL …              names: names-layout.ts
 *   w/…                      what Waymark keeps for itself
 *
 * Places have a facet per mode because a check asks "no key in this range": a shared request must be able to ask for "no
 * exclusive place below" alone. Paths here are in key form: bytes, and the root is the empty one.
 */

export function namespacePrefix(name: string): ByteString {
  return `n/${pathToBytes(name)}/`;
}

/** In front of the facets of a lock. */
export const electionFacet = 'e';

/** Where the mark of an election's leader stands, alone. */
export function leaderRange(path: ByteString): KeyRange {
  const { key, end } = exactly('h', path);
  return { key: electionFacet + key, end: electionFacet + (end ?? '') };
}

export const markFacet: KeyRange = { key: 'h', end: 'h0' };
export const auditRange: KeyRange = { key: 'w/audit/', end: 'w/audit0' };

export function dataKey(path: ByteString): ByteString {
  return `d${path}`;
}

/** All below a path, in one facet. */
export function below(facet: ByteString, path: ByteString): KeyRange {
  return { key: `${facet}${path}/`, end: `${facet}${path}0` };
}

/** Everything a facet keeps for exactly this path. */
export function exactly(facet: ByteString, path: ByteString): KeyRange {
  return { key: `${facet}${path}\0`, end: `${facet}${path}\x01` };
}

/** What a facet keeps for this path and all below it, but not for the path alone. */
export function treesAt(facet: ByteString, path: ByteString): KeyRange {
  return { key: `${facet}${path}\0t`, end: `${facet}${path}\0u` };
}

/** Marks of exclusive locks of one kind on exactly this path. */
export function exclusiveMarksAt(path: ByteString, tree: boolean): KeyRange {
  const stem = `h${path}\0${kindOf(tree)}`;
  return { key: `${stem}x`, end: `${stem}y` };
}

export function markKey(hold: HeldKeys): ByteString {
  return markStem(hold) + hold.id;
}

export function placeKey(hold: HeldKeys): ByteString {
  return placeStem(hold) + hold.id;
}

/** A mark's key without the id. */
export function markStem({ path, tree, mode }: Omit<HeldKeys, 'id'>): ByteString {
  return `h${pathToBytes(path)}\0${kindOf(tree)}${mode === 'exclusive' ? 'x' : 's'}`;
}

/** A place's key without the id. */
export function placeStem({ path, tree, mode }: Omit<HeldKeys, 'id'>): ByteString {
  return `${placeFacet(mode)}${pathToBytes(path)}\0${kindOf(tree)}`;
}

export function placeFacet(mode: LockMode): 'x' | 's' {
  return mode === 'exclusive' ? 'x' : 's';
}

/** All places of a mode. */
export function placeFacetRange(facet: 'x' | 's'): KeyRange {
  return { key: facet, end: `${facet}0` };
}

export function parseMark(key: ByteString): HeldKeys {
  const nul = key.indexOf('\0');
  return {
    path: bytesToPath(key.slice(1, nul)),
    tree: key[nul + 1] === 't',
    mode: key[nul + 2] === 'x' ? 'exclusive' : 'shared',
    id: key.slice(nul + 3),
  };
}

export function parsePlace(key: ByteString): HeldKeys {
  const nul = key.indexOf('\0');
  return {
    path: bytesToPath(key.slice(1, nul)),
    tree: key[nul + 1] === 't',
    mode: key[0] === 'x' ? 'exclusive' : 'shared',
    id: key.slice(nul + 2),
  };
}

function kindOf(tree: boolean): 't' | 'e' {
  return tree ? 't' : 'e';
}
