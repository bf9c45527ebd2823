import type { ByteString, Engine, Entry, KeyRange, LeaseId } from '../core/engine.js';
import type { HeldKeys, WaitStep } from '../core/host.js';
import { electionFacet, onceFacet, parseMark, parsePlace } from '../space/layout.js';
import { bytesToPath } from '../space/paths.js';
import { decodeParty, entriesOf } from './lock-queue.js';
import { aheadIn, decodeLimit, decodePlace } from './semaphore-queue.js';

/** Who holds and who waits in a namespace, at one revision: locks, elections, jobs that run once, and semaphores. */

/** Of each kind of key; what lies beyond is not looked at. */
const keysMax = 10_000;

/** Who holds or waits. */
export interface Asking {
  readonly session: string;
  readonly lease: LeaseId;
}

export interface Wait {
  readonly who: Asking;
  readonly step: WaitStep;
  /** Who is in its way, by whoever of them is counted. Empty: it would be granted. */
  readonly blockers: (counts: (one: Asking) => boolean) => readonly Asking[];
}

export interface Waits {
  readonly waits: readonly Wait[];
  /** All who hold or wait. */
  readonly all: readonly Asking[];
}

const lockKinds = [
  { recipe: 'lock', facet: '' },
  { recipe: 'election', facet: electionFacet },
  { recipe: 'once', facet: onceFacet },
] as const;

export async function readWaits(engine: Engine): Promise<Waits> {
  const lockRanges = lockKinds.flatMap(({ facet }) => ['h', 'x', 's'].map((kind) => facet + kind));
  const ranges = [...lockRanges, 'p', 'pl'].map(whole);
  const apply = ranges.map((range) => ({ type: 'read', ...range, limit: keysMax }) as const);
  const found = (await engine.commit({ apply })).results.map(entriesOf);
  const [permits = [], limits = []] = found.slice(-2);
  const kinds = [
    ...lockKinds.map(({ recipe, facet }, i) =>
      lockWaits(recipe, facet, found.slice(i * 3, i * 3 + 3)),
    ),
    permitWaits(permits, limits),
  ];
  return {
    waits: kinds.flatMap(({ waits }) => waits),
    all: kinds.flatMap(({ all }) => all),
  };
}

/** Everything of a facet. */
function whole(facet: ByteString): KeyRange {
  return { key: facet, end: `${facet}0` };
}

interface Stand {
  readonly who: Asking;
  readonly owner: string;
  readonly keys: HeldKeys;
  readonly created: number;
  /** It waits for the other shared holders alone. */
  readonly upgrading: boolean;
}

function lockWaits(
  recipe: WaitStep['recipe'],
  facet: ByteString,
  [marks = [], ...places]: readonly (readonly Entry[])[],
): Waits {
  const standAt = (entry: Entry, parse: (key: ByteString) => HeldKeys): Stand => {
    const { session, owner } = decodeParty(entry.value);
    return {
      who: { session, lease: entry.lease },
      owner,
      keys: parse(entry.key.slice(facet.length)),
      created: entry.createRevision,
      upgrading: entry.value.startsWith('^'),
    };
  };
  const held = marks.map((mark) => standAt(mark, parseMark));
  const holding = new Set(held.map(({ keys }) => keys.id));
  const waiting = places
    .flat()
    .map((place) => standAt(place, parsePlace))
    .filter(({ keys, upgrading }) => upgrading || !holding.has(keys.id));
  const waits = waiting.map((one): Wait => {
    let ahead: readonly Asking[] | null = null;
    return {
      who: one.who,
      step: { owner: one.owner, recipe, path: one.keys.path },
      blockers(counts) {
        // Only of few waits it is asked, and of those several times.
        ahead ??= aheadOf(one, held, waiting);
        return ahead.filter(counts);
      },
    };
  });
  return { waits, all: [...held, ...waiting].map(({ who }) => who) };
}

/** Who upgrades passes the queue over. */
function aheadOf(one: Stand, held: readonly Stand[], waiting: readonly Stand[]): readonly Asking[] {
  const before = waiting.filter(({ created }) => created < one.created);
  const others = one.upgrading ? held : [...held, ...before];
  return others.filter((other) => inTheWay(other, one)).map(({ who }) => who);
}

function inTheWay({ keys: other }: Stand, { keys: own }: Stand): boolean {
  if (other.id === own.id || (other.mode === 'shared' && own.mode === 'shared')) return false;
  return other.path === own.path || covers(other, own) || covers(own, other);
}

function covers({ tree, path }: HeldKeys, below: HeldKeys): boolean {
  return tree && (path === '/' || below.path.startsWith(`${path}/`));
}

function permitWaits(places: readonly Entry[], limits: readonly Entry[]): Waits {
  const queues = new Map<ByteString, Entry[]>();
  for (const place of [...places].sort((a, b) => a.createRevision - b.createRevision)) {
    const path = place.key.slice(1, place.key.indexOf('\0'));
    queues.set(path, [...(queues.get(path) ?? []), place]);
  }
  const waits = limits.flatMap((entry) => {
    const path = entry.key.slice(2);
    return waitsIn(bytesToPath(path), queues.get(path) ?? [], entry);
  });
  return { waits, all: places.map(askingOf) };
}

/** A waiter is passed by nobody, and granted as soon as it fits: so those who count are in its way together, or not at all. */
function waitsIn(path: string, queue: readonly Entry[], limit: Entry): Wait[] {
  const stored = decodeLimit(limit);
  if (stored === null) return [];
  const held = queue.slice(0, aheadIn(queue, stored).held.size);
  return queue.slice(held.length).map((place, i, waiting): Wait => {
    const { owner, weight } = decodePlace(place.value);
    return {
      who: askingOf(place),
      step: { owner, recipe: 'semaphore', path },
      blockers(counts) {
        const before = waiting.slice(0, i).map(askingOf).filter(counts);
        const staying = held.filter((one) => counts(askingOf(one)));
        const used = staying.reduce((sum, one) => sum + decodePlace(one.value).weight, 0);
        return used + weight > stored.limit ? [...staying.map(askingOf), ...before] : before;
      },
    };
  });
}

function askingOf({ value, lease }: Entry): Asking {
  return { session: decodePlace(value).session, lease };
}
