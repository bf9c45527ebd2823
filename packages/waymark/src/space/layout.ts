import type { ByteString, KeyRange } from '../core/engine.js';
import type { HeldKeys, LockMode } from '../core/host.js';
import { joinBytes } from '../core/bytes.js';
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
 *   m/workers NUL id         where a member takes its messages
 *   g/workers NUL id         member of a group
 *   glh/…  glx/…             marks and places of who leads a group
 *   och/…  ocx/…             marks and places of who runs a job that runs once
 *   or/migrate               what such a job came to
 *   osh/…  osx/…             marks and places of who runs a schedule
 *   ot/report                up to which due time a schedule is settled
 *   p/orders/42 NUL id       place of a semaphore's request, that holds or waits
 *   pl/orders/42             limit of the semaphore
 *   l/audit NUL …            logs: see recipes/log-keys.ts
 *   c/hits NUL n             a counter; NUL l: a latch
 *   b/start NUL b …          barriers, NUL d … double ones: see recipes/barrier-keys.ts
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

export const groupLeaderFacet = 'gl';
export const onceFacet = 'oc';
export const scheduleFacet = 'os';
/** In front of the path of a job's outcome, and of up to when a schedule is settled. */
export const onceOutcomeFacet = 'or';
export const scheduleStateFacet = 'ot';

/** Where the mark of an election's leader stands, alone. */
export function leaderRange(path: ByteString, facet: ByteString = electionFacet): KeyRange {
  const { key, end } = exactly('h', path);
  return { key: facet + key, end: facet + (end ?? '') };
}

/** All members of a group. */
export function groupRange(group: ByteString): KeyRange {
  return exactly('g', group);
}

export function memberKey(group: ByteString, id: ByteString): ByteString {
  return `g${group}\0${id}`;
}

export function onceKey(path: ByteString): ByteString {
  return onceOutcomeFacet + path;
}

export function scheduleKey(path: ByteString): ByteString {
  return scheduleStateFacet + path;
}

/** Where a member of a group takes its messages. */
export function inboxKey(group: ByteString, member: ByteString): ByteString {
  return `m${group}\0${member}`;
}

/** All places of a semaphore. */
export function permitRange(path: ByteString): KeyRange {
  return exactly('p', path);
}

export function permitKey(path: ByteString, id: string): ByteString {
  return `p${path}\0${id}`;
}

export function permitLimitKey(path: ByteString): ByteString {
  return `pl${path}`;
}

export const markFacet: KeyRange = { key: 'h', end: 'h0' };
export const auditRange = { key: 'w/audit/', end: 'w/audit0' } as const;

export function dataKey(path: ByteString): ByteString {
  return joinBytes('d', path);
}

export function counterKey(path: ByteString): ByteString {
  return `c${path}\0n`;
}

export function latchKey(path: ByteString): ByteString {
  return `c${path}\0l`;
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
