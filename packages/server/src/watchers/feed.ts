import { setMaxListeners } from 'node:events';
import {
  type Batch,
  type Clock,
  type Engine,
  isWaymarkError,
  type KeyRange,
  pause,
} from 'waymark/engine';
import { Coverage } from './coverage.js';
import type { Lane } from './lane.js';
import { processorKey } from './keys.js';
import { dataRange, eachRevision } from './matching.js';
import { Offering } from './offering.js';
import { Registry, registryRanges } from './registry.js';

/** After a watch was refused or ended. */
const againMs = 200;
/** Watches that bring lanes up from history, at once. */
const catchUpsMax = 16;
/** Lanes whose places are no further apart are brought up by one watch. */
const togetherMax = 10_000;
const laneFullMs = 60_000;

export interface FeedParts {
  readonly engine: Engine;
  readonly identity: string;
  readonly clock: Clock;
  readonly processor: string;
  /** The registry changed: endpoints that are concerned, before anything later is told. */
  readonly changed: (endpoints: ReadonlySet<string>) => void;
  /** A write that every watch of the registry sees: it shows how far one has come. */
  readonly nudge: () => void;
  readonly failed: (what: string, error: unknown) => void;
}

/**
 * One watch over the registry and over all data that anybody is told of, in one order: so a watcher is told from exactly the revision at which it was
 * registered, and every change is matched once, however many endpoints it goes to. Lanes that stand in the past are brought up by watches of their own,
 * those near each other by one.
 */
export class Feed {
  readonly lanes = new Map<string, Lane>();
  readonly #parts: FeedParts;
  readonly #ending = new AbortController();
  /** In the past, and waiting for a watch. */
  readonly #past = new Set<Lane>();
  readonly #running = new Set<Promise<void>>();
  #beginning = false;
  #registry: Registry;
  #position: number;

  private constructor(parts: FeedParts, registry: Registry, revision: number) {
    this.#parts = parts;
    // Each watch listens to it: that is no leak to warn of.
    setMaxListeners(0, this.#ending.signal);
    this.#registry = registry;
    this.#position = revision;
  }

  static async open(parts: FeedParts, signal: AbortSignal): Promise<Feed> {
    const { registry, revision } = await Registry.load(parts.engine, signal);
    return new Feed(parts, registry, revision);
  }

  get registry(): Registry {
    return this.#registry;
  }

  /** All up to here was offered to the lanes that follow. */
  get position(): number {
    return this.#position;
  }

  /** Feeds a lane from where it stands. */
  add(lane: Lane): void {
    lane.fed = true;
    lane.given++;
    if (lane.seen >= this.#position) {
      this.lanes.set(lane.endpoint, lane);
      return;
    }
    this.#past.add(lane);
    this.#catchUpMore();
  }

  remove(lane: Lane): void {
    lane.fed = false;
    if (this.lanes.get(lane.endpoint) === lane) this.lanes.delete(lane.endpoint);
    this.#past.delete(lane);
    lane.bell.ring();
  }

  /** Follows until it is closed. @throws {WaymarkError} `superseded` when the engine's history is another one now */
  async run(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      try {
        await this.#follow(signal);
      } catch (error) {
        if (signal.aborted) return;
        await this.#recover(error, signal);
      }
    }
  }

  async close(): Promise<void> {
    this.#ending.abort();
    await Promise.all(this.#running);
  }

  /** Follows with the ranges there are, until others are needed. */
  async #follow(signal: AbortSignal): Promise<void> {
    const { engine, identity, clock } = this.#parts;
    const namespaces = new Set(this.#registry.patterns.keys());
    const ranges = [...registryRanges, ...[...namespaces].map(dataRange)];
    const watch = engine.watch(ranges, { after: this.#position, identity, signal });
    for await (const batch of watch) {
      if (!this.#take(batch, namespaces)) return;
      // What is written meanwhile comes in one batch: waking up for each write costs a writer in the same process more than all else.
      await new Promise<void>((resolve) => clock.nextTurn(resolve));
    }
  }

  /** @returns false when the ranges are others from here on: what follows in the batch is read again */
  #take(batch: Batch, namespaces: ReadonlySet<string>): boolean {
    const { lanes } = this;
    const find = (endpoint: string): Lane | undefined => lanes.get(endpoint);
    const offering = new Offering(this.#registry, find, this.#overflowed);
    const whole = eachRevision(batch, (revision, registry, data) => {
      if (registry.length > 0) this.#parts.changed(this.#registry.apply(registry));
      // While all are behind, nobody is told by this watch.
      if (lanes.size > 0) offering.offer(revision, data);
      this.#position = revision;
      return registry.length === 0 || this.#watched(namespaces);
    });
    if (!whole) return false;
    this.#position = Math.max(this.#position, batch.revision);
    return true;
  }

  #watched(namespaces: ReadonlySet<string>): boolean {
    for (const name of this.#registry.patterns.keys()) if (!namespaces.has(name)) return false;
    return true;
  }

  readonly #overflowed = (lane: Lane): void => {
    // What came before this revision and concerned it was offered.
    lane.seen = Math.max(lane.seen, this.#position);
    this.remove(lane);
  };

  async #recover(error: unknown, signal: AbortSignal): Promise<void> {
    const { clock, engine, failed } = this.#parts;
    if (isWaymarkError(error, 'superseded')) throw error;
    failed('the watch of the registry', error);
    await pause(clock, againMs, signal).catch(() => undefined);
    if (!isWaymarkError(error, 'compacted')) return;
    // What was missed of the registry stands there now; lanes go on from where they are, or learn what they lost.
    try {
      const { registry, revision } = await Registry.load(engine, signal);
      const endpoints = new Set([...this.#registry.endpoints.keys(), ...registry.endpoints.keys()]);
      this.#registry = registry;
      const lanes = [...this.lanes.values()];
      this.lanes.clear();
      for (const lane of lanes) lane.seen = Math.max(lane.seen, this.#position);
      this.#position = revision;
      for (const lane of lanes) this.add(lane);
      this.#parts.changed(endpoints);
    } catch (again) {
      if (!signal.aborted) failed('reading the registry', again);
    }
  }

  /** Lanes that are added in one turn go together. */
  #catchUpMore(): void {
    if (this.#beginning || this.#past.size === 0) return;
    this.#beginning = true;
    this.#parts.clock.nextTurn(() => {
      this.#beginning = false;
      if (this.#ending.signal.aborted || this.#running.size >= catchUpsMax) return;
      const from = Math.min(...Array.from(this.#past, ({ seen }) => seen));
      const lanes = new Set<Lane>();
      for (const lane of this.#past) if (lane.seen <= from + togetherMax) lanes.add(lane);
      if (lanes.size === 0) return;
      for (const lane of lanes) this.#past.delete(lane);
      const run = this.#catchUp(from, lanes).finally(() => {
        this.#running.delete(run);
        this.#catchUpMore();
      });
      this.#running.add(run);
      this.#catchUpMore();
    });
  }

  /** Brings lanes up to the others. */
  async #catchUp(from: number, lanes: Set<Lane>): Promise<void> {
    const { engine, identity, clock, processor, nudge, failed } = this.#parts;
    const { signal } = this.#ending;
    const coverage = new Coverage();
    for (const { endpoint } of lanes) coverage.add(this.#registry, endpoint);
    const data = Array.from(coverage.namespaces, dataRange);
    const own = processorKey(processor);
    const ranges: KeyRange[] = [{ key: own }, ...data];
    const byEndpoint = new Map([...lanes].map((lane) => [lane.endpoint, lane]));
    const given = new Map(Array.from(lanes, (lane) => [lane, lane.given]));
    const forgetTaken = (): void => {
      for (const lane of byEndpoint.values()) {
        if (!lane.fed || lane.given !== given.get(lane)) byEndpoint.delete(lane.endpoint);
      }
    };
    const find = (endpoint: string): Lane | undefined => byEndpoint.get(endpoint);
    const leave = (lane: Lane): void => {
      byEndpoint.delete(lane.endpoint);
      lane.fed = false;
      lane.bell.ring();
    };
    nudge();
    try {
      for await (const batch of engine.watch(ranges, { after: from, identity, signal })) {
        forgetTaken();
        for (const lane of byEndpoint.values())
          if (!coverage.holds(this.#registry, lane.endpoint)) leave(lane);
        // Who is told of what comes after it is not known yet.
        const through = Math.min(batch.revision, this.#position);
        const offering = new Offering(this.#registry, find, leave);
        eachRevision(batch, (revision, _registry, data) => {
          if (revision <= through) offering.offer(revision, data);
          return revision < through;
        });
        for (const lane of byEndpoint.values()) lane.seen = Math.max(lane.seen, through);
        if (byEndpoint.size === 0) return;
        if (through === this.#position) {
          for (const lane of byEndpoint.values()) this.lanes.set(lane.endpoint, lane);
          return;
        }
        // It came this far, and the others went on meanwhile: where nothing else is written that this watch sees, it would not learn how far.
        if (batch.changes.some(({ entry }) => entry.key === own)) nudge();
        const [only] = byEndpoint.values();
        if (byEndpoint.size > 1 || only === undefined) continue;
        // Alone, it waits for its endpoint in place of leaving.
        const room = (): boolean => only.empty || !only.fed || only.given !== given.get(only);
        await only.bell.until(room, { clock, ms: laneFullMs, signal });
        forgetTaken();
        if (byEndpoint.size === 0) return;
        if (!only.empty) return leave(only);
      }
    } catch (error) {
      if (signal.aborted) return;
      const lost = isWaymarkError(error, 'compacted') || isWaymarkError(error, 'superseded');
      if (!lost) {
        failed('reading history', error);
        await pause(clock, againMs, signal).catch(() => undefined);
      }
      forgetTaken();
      for (const lane of byEndpoint.values()) {
        lane.lost ||= lost;
        leave(lane);
      }
    }
  }
}
