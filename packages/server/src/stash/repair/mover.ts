import { setMaxListeners } from 'node:events';
import { Bell, type Clock, type Engine, isWaymarkError, pause, WaymarkError } from 'waymark/engine';
import {
  advanceMove,
  type Also,
  keptBy,
  type Known,
  partitionCount,
  Placement,
  type PlacedNode,
  type SeenView,
  sourcesOf,
  type StashPeer,
  tellMove,
  toFill,
  type ViewWatch,
} from 'waymark/stash';
import type { StashStore } from '../store.js';
import { adoptFloors, agreeing } from './compare.js';
import { inTurns, isPassing } from './in-turns.js';
import { reconcile, type ReconcileParts } from './reconcile.js';

export interface MoverParts {
  readonly engine: Engine;
  readonly store: StashStore;
  readonly views: ViewWatch;
  readonly peerOf: (id: string, known: Known) => StashPeer;
  readonly clock: Clock;
  readonly warned: (message: string, error?: unknown) => void;
  /** What is filled at most, in bytes a second. Default 67 108 864. */
  readonly bytesPerSecond?: number | undefined;
}

const bytesPerSecondDefault = 67_108_864;
const againMs = 500;
const tellMs = 1_000;

/** A node's part in moves (rules D6.1 to D6.5): it fills what it gains, confirms what it loses, goes on to the next view when all have, and deletes what it keeps no more. */
export class Mover {
  readonly #parts: MoverParts;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly #bell = new Bell();
  #news = false;
  /** The move and the view that this node has done its part of. */
  #doneSince = 0;
  #cleanedEpoch = 0;

  constructor(parts: MoverParts) {
    this.#parts = parts;
    setMaxListeners(0, this.#stop.signal);
    this.#running = this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the node stops'));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { views, clock, warned } = this.#parts;
    const { signal } = this.#stop;
    const listening = views.listen(() => {
      this.#news = true;
      this.#bell.ring();
    });
    while (!signal.aborted) {
      this.#news = false;
      let again = false;
      try {
        const known = views.last;
        if (known?.view != null) again = await this.#step(known, known.view);
      } catch (error) {
        again = true;
        if (!isPassing(error) && !signal.aborted) {
          warned('data could not be moved: it is tried again', error);
        }
      }
      // After a failure, and while others are asked, news are not waited for alone.
      const ms = again ? againMs : everMs;
      await this.#bell.until(() => this.#news && !again, { clock, ms, signal });
    }
    listening();
  }

  /** @returns whether there is more to do without the view changing */
  async #step(known: Known, seen: SeenView): Promise<boolean> {
    const { store, engine } = this.#parts;
    const { signal } = this.#stop;
    const { also, nodes, left } = seen.view;
    const isIn = (some: readonly PlacedNode[]): boolean => some.some(({ id }) => id === store.id);
    if (also === undefined) {
      if (isIn(nodes) || left?.includes(store.id) === true) await this.#clean(seen);
      return false;
    }
    if (also.paused === true) return false;
    if (isIn(also.nodes) && this.#doneSince !== also.since) await this.#doPart(known, seen, also);
    if (!isIn(also.nodes) && left?.includes(store.id) === true) await this.#clean(seen);
    // One does it, so that not all try at once; the view lets one be the first anyway.
    const ids = [...nodes, ...also.nodes].map(({ id }) => id).filter((id) => known.isAlive(id));
    if (ids.sort()[0] === store.id) await advanceMove(engine, known, { signal });
    return true;
  }

  async #doPart(known: Known, seen: SeenView, also: Also): Promise<void> {
    const { engine, store, clock } = this.#parts;
    const { signal } = this.#stop;
    const beganAt = clock.wallNow();
    const told = { since: also.since, partitions: 0, of: 0, entries: 0, beganAt };
    if (also.phase === 'filling') {
      const filled = await this.#fill(known, seen, told);
      await tellMove(engine, store.id, { ...told, ...filled, done: true }, { signal });
    } else {
      // From here on it answers nobody by the view before: its own knows a newer one.
      await store.partitions.barrier();
      await tellMove(engine, store.id, { ...told, done: true }, { signal });
    }
    this.#doneSince = also.since;
  }

  /** Has all partitions that this node is to be filled with from as many of their owners as a read asks. */
  async #fill(
    known: Known,
    { view }: SeenView,
    told: { readonly since: number; readonly beganAt: number },
  ): Promise<{ readonly partitions: number; readonly of: number; readonly entries: number }> {
    const { clock, engine, store, views } = this.#parts;
    const { signal } = this.#stop;
    const before = new Placement(view.nodes, view.replicas);
    const after = new Placement(view.also?.nodes ?? [], view.replicas);
    const wanted = toFill(store.id, before, after);
    const lost = view.also?.lost ?? [];
    // What it has itself counts, and is no leftover of an earlier time.
    const kept = keptBy(store.id, before);
    const has = new Map(wanted.map((one) => [one, new Set(kept.has(one) ? [store.id] : [])]));
    const lacking = (one: number): boolean =>
      (has.get(one)?.size ?? 0) < sourcesOf(one, before, lost);
    const brought = new Set<number>();
    let [entries, toldAt] = [0, Number.NEGATIVE_INFINITY];
    const tell = async (): Promise<void> => {
      if (clock.now() - toldAt < tellMs) return;
      toldAt = clock.now();
      const of = wanted.length;
      const progress = { ...told, done: false, partitions: brought.size, of, entries };
      await tellMove(engine, store.id, progress, { signal }).catch(() => undefined);
    };
    for (;;) {
      for (const [id, partitions] of ownersOf(wanted.filter(lacking), before)) {
        if (lost.includes(id)) continue;
        const asked = partitions.filter((one) => lacking(one) && has.get(one)?.has(id) === false);
        const parts = this.#reconcileParts(this.#parts.peerOf(id, known), view.epoch);
        try {
          const fresh = (one: number): boolean => !kept.has(one);
          await adoptFloors(asked.filter(fresh), parts);
          const same = await agreeing(asked, parts);
          await inTurns(asked, async (one) => {
            const how = { ...parts, fresh: fresh(one) };
            const { fetched } = same.has(one) ? none : await reconcile(one, how);
            // All that it held was here already.
            if (fetched === 0) has.get(one)?.add(id);
            entries += fetched;
            brought.add(one);
            await tell();
          });
        } catch (error) {
          if (isWaymarkError(error, 'superseded') || !isPassing(error)) throw error;
        }
      }
      const left = wanted.filter(lacking).length;
      if (left === 0) return { partitions: wanted.length, of: wanted.length, entries };
      await pause(clock, againMs / 5, signal);
      // Another view: what was asked by this one is refused anyway.
      if (views.last?.epoch !== view.epoch)
        throw new WaymarkError('superseded', 'the view of the move is over');
    }
  }

  /** Deletes what others keep, and all of it where this node keeps nothing any more. */
  async #clean({ view }: SeenView): Promise<void> {
    if (this.#cleanedEpoch === view.epoch) return;
    const { store } = this.#parts;
    const kept = keptBy(store.id, new Placement(view.nodes, view.replicas));
    const all = Array.from({ length: partitionCount }, (_, partition) => partition);
    // What was taken by the view before is on disk, and goes too.
    await store.partitions.barrier();
    await inTurns(all, async (partition) => {
      this.#stop.signal.throwIfAborted();
      if (!kept.has(partition)) await store.partitions.drop(partition);
    });
    this.#cleanedEpoch = view.epoch;
  }

  #reconcileParts(peer: StashPeer, epoch: number): ReconcileParts {
    const { store, clock } = this.#parts;
    const { signal } = this.#stop;
    const perMs = (this.#parts.bytesPerSecond ?? bytesPerSecondDefault) / 1_000;
    const pace = (bytes: number): Promise<void> => pause(clock, bytes / perMs, signal);
    return { store, peer, epoch, pace, signal };
  }
}

const none = { fetched: 0 };
const everMs = 86_400_000;

/** Who keeps some partitions, and which of them each. */
function ownersOf(partitions: readonly number[], placement: Placement): Map<string, number[]> {
  const owners = new Map<string, number[]>();
  for (const one of partitions) {
    for (const { id } of placement.of(one)) {
      const list = owners.get(id);
      if (list === undefined) owners.set(id, [one]);
      else list.push(one);
    }
  }
  return owners;
}
