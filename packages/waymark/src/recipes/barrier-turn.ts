import type { Batch, Check, Engine, Entry, LeaseId, Operation, Revision } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import {
  type BarrierKeys,
  type BarrierKind,
  type BarrierState,
  type BarrierView,
  decodeState,
  encodeState,
  viewOf,
} from './barrier-keys.js';
import { encodeParty } from './lock-queue.js';
import { ownOf } from './lock-request.js';
import { waitForChange } from './waiting.js';

/** Who comes to a barrier. */
export interface Coming {
  readonly id: string;
  readonly path: string;
  readonly kind: BarrierKind;
  readonly parties: number;
  readonly lease: LeaseId;
  readonly owner: string;
  readonly session: string;
}

/** The generation somebody passed with, and the revision of its place: 0 where that is gone. */
export interface Passed {
  readonly generation: number;
  readonly created: number;
}

/** @throws {WaymarkError} `limit_mismatch`; `lost` when its place is gone and it did not pass; `conflict` for an id that another party has */
export async function come(
  engine: Engine,
  keys: BarrierKeys,
  coming: Coming,
  signal: AbortSignal | undefined,
): Promise<Passed> {
  for (let entered: Revision | null = null; ;) {
    signal?.throwIfAborted();
    const view = await look(engine, keys);
    ownOf(placeIn(view, keys, coming.id), coming);
    const passed = passedIn(view, keys, coming.id);
    if (passed !== null) return passed;
    refuseMismatch(view, coming);
    const at = view.waiting.findIndex((place) => keys.id(place) === coming.id);
    if (at < 0) {
      if (entered !== null) return await becameOf(engine, keys, coming, entered, signal);
      entered = await enter(engine, keys, coming, view);
      continue;
    }
    entered ??= view.waiting[at]?.createRevision ?? null;
    if (at >= coming.parties - 1 && view.inside.length === 0) {
      const generation = await pass(engine, keys, coming, view);
      const created = view.waiting[at]?.createRevision ?? 0;
      if (generation !== null && at < coming.parties) return { generation, created };
      continue;
    }
    const told = await nextOf(engine, keys, { coming, view, at }, signal);
    if (told !== 'look') return told;
  }
}

/** Takes the place away, unless it passed meanwhile, or is another's. */
export async function withdraw(
  engine: Engine,
  keys: BarrierKeys,
  { id, lease }: Pick<Coming, 'id' | 'lease'>,
): Promise<Passed | null> {
  for (;;) {
    const view = await look(engine, keys);
    const place = placeIn(view, keys, id);
    if (place !== undefined && place.lease !== lease) return null;
    const passed = passedIn(view, keys, id);
    if (passed !== null) return passed;
    const { succeeded } = await engine.commit({
      when: [unchanged(keys, view)],
      apply: [{ type: 'delete', key: keys.place(id) }],
    });
    if (succeeded) return null;
  }
}

async function look(engine: Engine, keys: BarrierKeys): Promise<BarrierView> {
  return viewOf(keys, await engine.read(keys.all));
}

function placeIn(view: BarrierView, keys: BarrierKeys, id: string): Entry | undefined {
  const is = (place: Entry): boolean => keys.id(place) === id;
  return view.waiting.find(is) ?? view.inside.find(is);
}

function passedIn(view: BarrierView, keys: BarrierKeys, id: string): Passed | null {
  if (view.state === null) return null;
  const { generation, passed } = view.state;
  const inside = view.inside.find((place) => keys.id(place) === id);
  if (inside !== undefined) return { generation, created: inside.createRevision };
  // Of a double barrier who is not inside any more has left.
  const through = view.state.through > 0;
  return !through && passed.includes(id) ? { generation, created: 0 } : null;
}

/** @returns the revision of the place; null when the barrier changed, and is to be looked at anew */
async function enter(
  engine: Engine,
  keys: BarrierKeys,
  coming: Coming,
  view: BarrierView,
): Promise<Revision | null> {
  const { state } = view;
  const { parties, lease } = coming;
  const first = { generation: 0, passed: [], through: 0 };
  const apply: Operation[] = [
    { type: 'put', key: keys.place(coming.id), value: encodeParty(coming), lease },
  ];
  if (state?.parties !== parties) {
    const value = encodeState({ ...(state ?? first), parties });
    apply.push({ type: 'put', key: keys.state, value });
  }
  // A revision of its own: it tells the places apart.
  const when = [unchanged(keys, view)];
  const { succeeded, revision } = await engine.commit({ when, apply }, { alone: true });
  return succeeded ? revision : null;
}

/**
 * What became of a place that stood and is gone. Where the engine is elsewhere, more than one generation may have passed since it was put,
 * and the state names the last one alone: history tells.
 */
async function becameOf(
  engine: Engine,
  keys: BarrierKeys,
  { id, path }: Coming,
  entered: Revision,
  signal: AbortSignal | undefined,
): Promise<Passed> {
  const own = keys.place(id);
  const ranges = [{ key: keys.state }, { key: own }];
  const found = await waitForChange(engine, ranges, { after: entered, signal }, (batch) => {
    const passed = passedBy(batch, keys, id);
    if (passed !== null && passed !== 'look') return passed;
    const gone = batch.changes.some(({ kind, entry }) => entry.key === own && kind !== 'put');
    return gone ? 'gone' : null;
  });
  if (found === null || found === 'gone') throw lostPlace(path);
  return found;
}

/** Lets the first so many through. @returns the generation; null when one of them was gone, and it is to be looked at anew */
async function pass(
  engine: Engine,
  keys: BarrierKeys,
  { parties, kind }: Coming,
  view: BarrierView,
): Promise<number | null> {
  const through = view.waiting.slice(0, parties);
  const next: BarrierState = {
    parties,
    generation: (view.state?.generation ?? 0) + 1,
    passed: through.map((place) => keys.id(place)),
    through: kind === 'double' ? (through.at(-1)?.createRevision ?? 0) : 0,
  };
  const gone = kind === 'double' ? [] : through;
  const { succeeded } = await engine.commit({
    when: [unchanged(keys, view), ...through.map(stands)],
    apply: [
      { type: 'put', key: keys.state, value: encodeState(next) },
      ...gone.map(({ key }): Operation => ({ type: 'delete', key })),
    ],
  });
  return succeeded ? next.generation : null;
}

/** Waits for what may let it through. Only who came beyond the number that is needed looks at the others as well. */
async function nextOf(
  engine: Engine,
  keys: BarrierKeys,
  {
    coming,
    view,
    at,
  }: { readonly coming: Coming; readonly view: BarrierView; readonly at: number },
  signal: AbortSignal | undefined,
): Promise<Passed | 'look'> {
  const { revision } = view;
  const own = keys.place(coming.id);
  const ranges = at >= coming.parties - 1 ? [keys.all] : [{ key: keys.state }, { key: own }];
  const found = await waitForChange(engine, ranges, { after: revision, signal }, (batch) =>
    passedBy(batch, keys, coming.id),
  );
  return found ?? 'look';
}

/** Whoever passed was let through in the revision in which its place went: a later one may have taken its name from the state. */
function passedBy({ changes }: Batch, keys: BarrierKeys, id: string): Passed | 'look' | null {
  for (const { kind, entry } of changes) {
    if (kind !== 'put' || entry.key !== keys.state) continue;
    const { generation, passed, through } = decodeState(entry);
    if (through === 0 && passed.includes(id)) return { generation, created: 0 };
  }
  return changes.length > 0 ? 'look' : null;
}

function unchanged(keys: BarrierKeys, { stateMod }: BarrierView): Check {
  return { key: keys.state, target: 'mod', is: '=', to: stateMod };
}

function stands({ key, createRevision }: Entry): Check {
  return { key, target: 'create', is: '=', to: createRevision };
}

function refuseMismatch({ state, waiting, inside }: BarrierView, { path, parties }: Coming): void {
  if (state === null || state.parties === parties) return;
  if (waiting.length + inside.length === 0) return;
  const message = `the barrier ${path} is for ${state.parties} parties, not for ${parties}`;
  throw new WaymarkError('limit_mismatch', message, { path, max: state.parties, actual: parties });
}

function lostPlace(path: string): WaymarkError {
  const message = `the place at the barrier ${path} is gone: its lease ended, or it stepped back`;
  return new WaymarkError('lost', message, { path });
}
