import type { SharingMode } from 'waymark/engine';
import type { EndpointView } from './registry.js';

/** What is shared out, as far as a mode looks at it. */
export interface SharedEndpoint {
  readonly id: string;
  readonly kind: string;
  /** The pattern that it is counted under, with its namespace. */
  readonly pattern: string;
}

export interface SharingProcessor {
  readonly id: string;
  readonly kinds: readonly string[];
}

/** As a mode looks at it: the first of its watchers tells the pattern. */
export function sharedAs({ id, record, watchers }: EndpointView): SharedEndpoint {
  const [first] = [...watchers.keys()].toSorted();
  const watcher = first === undefined ? undefined : watchers.get(first)?.record;
  const pattern = watcher === undefined ? id : `${watcher.namespace} ${watcher.pattern}`;
  return { id, kind: record.kind, pattern };
}

export const perPatternDefault = 10;

/**
 * Says which processor should ask for each endpoint. It is rendezvous hashing (Thaler and Ravishankar, 1998): of all processors the one whose hash with
 * the endpoint's share is highest; one that comes or goes moves its own part alone. A mode only decides what a share is, so
 * all modes hold the same rule of one sender, and switching between them is moving endpoints.
 *
 * @returns endpoint id to processor id; those that no processor can deliver to are left out
 */
export function shareOut(
  endpoints: readonly SharedEndpoint[],
  processors: readonly SharingProcessor[],
  mode: SharingMode,
): Map<string, string> {
  const shareOf = sharesOf(endpoints, mode);
  const owners = new Map<string, string>();
  const chosen = new Map<string, string | null>();
  for (const endpoint of endpoints) {
    const share = shareOf(endpoint);
    const asked = `${endpoint.kind} ${share}`;
    let owner = chosen.get(asked);
    if (owner === undefined) {
      owner = highest(share, endpoint.kind, processors);
      chosen.set(asked, owner);
    }
    if (owner !== null) owners.set(endpoint.id, owner);
  }
  return owners;
}

function highest(
  share: string,
  kind: string,
  processors: readonly SharingProcessor[],
): string | null {
  let best: string | null = null;
  let bestHash = -1;
  for (const { id, kinds } of processors) {
    if (!kinds.includes(kind)) continue;
    const hash = hash32(`${id} ${share}`);
    if (hash > bestHash || (hash === bestHash && best !== null && id < best)) {
      best = id;
      bestHash = hash;
    }
  }
  return best;
}

function sharesOf(
  endpoints: readonly SharedEndpoint[],
  mode: SharingMode,
): (endpoint: SharedEndpoint) => string {
  if (mode.by === 'endpoint') return ({ id }) => id;
  if (mode.by === 'kind') return ({ kind }) => kind;
  if (mode.by === 'fixed') return ({ id }) => `${hash32(id) % mode.shares}`;
  const slices = slicesOf(endpoints, mode.perPattern ?? perPatternDefault);
  return ({ id }) => slices.get(id) ?? id;
}

/** Endpoints of one pattern stay together as long as they are no more than so many; beyond it the space of their ids is halved again and again. */
function slicesOf(endpoints: readonly SharedEndpoint[], most: number): Map<string, string> {
  const slices = new Map<string, string>();
  const narrow = (group: readonly SharedEndpoint[], share: string, depth: number): void => {
    if (group.length <= most || depth === 32) {
      for (const { id } of group) slices.set(id, share);
      return;
    }
    for (const half of [0, 1]) {
      const part = group.filter(({ id }) => ((hash32(id) >>> (31 - depth)) & 1) === half);
      narrow(part, `${share}${half}`, depth + 1);
    }
  };
  const byPattern = new Map<string, SharedEndpoint[]>();
  for (const endpoint of endpoints) {
    const group = byPattern.get(endpoint.pattern);
    if (group === undefined) byPattern.set(endpoint.pattern, [endpoint]);
    else group.push(endpoint);
  }
  for (const [pattern, group] of byPattern) narrow(group, `${pattern} `, 0);
  return slices;
}

/** FNV-1a, mixed at the end as MurmurHash3 does it. */
function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
