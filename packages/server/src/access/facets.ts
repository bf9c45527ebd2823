import type { ByteString, KeyRange } from 'waymark/engine';
import type { Action } from './rules.js';

/** What the keys of a namespace are about: the facet in front of the path says it (see space/layout.ts in waymark). */

/** What permits looking at a facet, beside `read` and `watch`, and what is needed to touch what stands there under a lease. */
const facets: Readonly<Record<string, Action>> = {
  ...of('lock', 'h', 'x', 's', 'p', 'pl', 'k', 'b', 'och', 'ocx', 'or'),
  ...of('lead', 'eh', 'ex', 'g', 'glh', 'glx', 'osh', 'osx', 'ot'),
  ...of('write', 'l', 'c'),
};

/** Who sends to members has to know who they are, and where they take their messages. */
const forSenders: ReadonlySet<string> = new Set(['g', 'glh', 'm']);

function of(action: Action, ...names: readonly string[]): Record<string, Action> {
  return Object.fromEntries(names.map((name) => [name, action]));
}

/** A range of one facet. */
export interface Place {
  readonly facet: string;
  readonly data: boolean;
  /** Without the facet. */
  readonly range: KeyRange;
}

/** @returns null for what spans facets, or is none of them */
export function placeOf({ key, end }: KeyRange): Place | null {
  const facet = facetOf(key);
  // What Waymark keeps for itself stands at no path.
  if (facet === null || facet === 'w') return null;
  const data = facet === 'd';
  const rest = key.slice(facet.length);
  if (end === undefined) return { facet, data, range: { key: rest } };
  if (end.startsWith(facet)) {
    const to = end.slice(facet.length);
    // A range that ends where its facet begins holds nothing, and an empty end would mean the opposite. Behind a facet stand a slash or NUL, and
    // behind those other facets whose names begin as its own.
    const within = to !== '' && (data || to <= '0');
    return within ? { facet, data, range: { key: rest, end: to } } : null;
  }
  return data && end === 'e' ? { facet, data, range: { key: rest, end: '' } } : null;
}

function facetOf(key: ByteString): string | null {
  if (key.startsWith('d')) return 'd';
  return /^[a-z]+(?=[/\0]|$)/.exec(key)?.[0] ?? null;
}

/** What permits an action on what stands in a facet: one of these. None: `admin` alone. */
export function permitting(action: 'read' | 'watch', { facet, data }: Place): readonly Action[] {
  if (data) return [action];
  const own = facets[facet];
  const sending: readonly Action[] = forSenders.has(facet) ? ['send', 'lead'] : [];
  return own === undefined ? sending : [action, own, ...sending];
}

/** What permits keeping a lease alive, or ending it, that a key of the facet stands under. */
export function touching({ facet, data }: Place): Action {
  if (data) return 'write';
  return facets[facet] ?? (facet === 'm' ? 'lead' : 'admin');
}
