import type { KeptLease, Space } from 'waymark';
import { Bell, type Clock, type Engine, isWaymarkError, pause, type Random } from 'waymark/engine';
import type { Endpoint, EndpointKind } from '../endpoints/endpoint.js';
import { type Taken, takeHolds } from './acquire.js';
import { EndpointStore } from './endpoint-store.js';
import { endWorkers } from './end-workers.js';
import { beginning, EndpointWorker } from './endpoint-worker.js';
import { Feed, type FeedParts } from './feed.js';
import { processorKey } from './keys.js';
import { Lane, WaitingBytes } from './lane.js';
import { encodeRecord } from './records.js';
import type { EndpointView, Registry } from './registry.js';
import { sharedAs, shareOut } from './sharing.js';
import { Sender, type Told } from './sender.js';
import { Teller } from './teller.js';
import type { Turns } from './turns.js';
import { type Kept, Upkeep, type UpkeepParts } from './upkeep.js';

/** What all endpoints of a processor keep waiting together. */
const waitingBytesMax = 64 * 1_048_576;
const againMs = 200;

export interface TenureParts extends Told, Pick<UpkeepParts, 'checkpointMs' | 'lagMs' | 'heldMs'> {
  readonly engine: Engine;
  readonly space: Space;
  readonly clock: Clock;
  readonly random: Random;
  /** Who to show. */
  readonly owner: string;
  readonly ttlMs: number;
  readonly kinds: readonly EndpointKind[];
  readonly turns: Turns;
  readonly open: (endpoint: EndpointView) => Endpoint;
  readonly failed: (what: string, error: unknown) => void;
}

interface Held extends Kept {
  readonly lane: Lane;
  readonly fence: number;
}

/**
 * A processor for as long as its lease lasts: it says that it is there, takes the endpoints that are its share, and delivers to them. When the lease ends, all of
 * that ends, and a new tenure begins with another id and other fences.
 */
export class Tenure {
  readonly id: string;
  readonly #parts: TenureParts;
  readonly #lease: KeptLease;
  readonly #identity: string;
  readonly #since: number;
  readonly #held = new Map<string, Held>();
  /** Endpoints whose deliveries ended and whose cursor could not be kept: checkpoints do not speak for them. */
  readonly #untold = new Set<string>();
  readonly #waiting = new WaitingBytes(waitingBytesMax);
  readonly #ending = new AbortController();
  readonly #bell = new Bell();
  #feed!: Feed;
  #shareAgain = false;
  /** Since endpoints were last looked at. */
  readonly #changed = new Set<string>();
  #shared: { readonly registry: Registry | null; readonly sharing: number } = {
    registry: null,
    sharing: 0,
  };
  #needed = 0;
  #nudging = false;
  /** Taking holds and writing checkpoints come one after the other: a checkpoint speaks for all that is held. */
  #serial: Promise<unknown> = Promise.resolve();

  private constructor(parts: TenureParts, lease: KeptLease, id: string, identity: string) {
    this.#parts = parts;
    this.#lease = lease;
    this.id = id;
    this.#identity = identity;
    this.#since = parts.clock.wallNow();
  }

  static async begin(parts: TenureParts, signal: AbortSignal): Promise<Tenure> {
    const { identity } = await parts.engine.status({ signal });
    const lease = await parts.space.lease(parts.ttlMs, { signal });
    const tenure = new Tenure(parts, lease, parts.random.id(), identity);
    try {
      await tenure.#announce();
      tenure.#feed = await Feed.open(tenure.#feedParts(), signal);
      return tenure;
    } catch (error) {
      await lease.release().catch(() => undefined);
      throw error;
    }
  }

  /** What came after this revision is still to be told by somebody; as of the last checkpoint. */
  get needed(): number {
    return this.#needed;
  }

  /** Endpoints that it delivers to now. */
  get endpoints(): readonly string[] {
    return [...this.#held.keys()];
  }

  /** What waits to be delivered. */
  get waitingBytes(): number {
    return this.#waiting.used;
  }

  /** How far the endpoint that is farthest behind is behind what was seen. */
  get lagRevisions(): number {
    const { position } = this.#feed;
    const told = [...this.#held.values()].map(({ worker }) => worker.position.revision);
    return Math.max(0, position - Math.min(position, ...told));
  }

  get registry(): Feed['registry'] {
    return this.#feed.registry;
  }

  /** @returns when the lease is lost, or after `close` */
  async run(): Promise<void> {
    const { signal } = this.#ending;
    const lost = (): void => this.#ending.abort();
    this.#lease.signal.addEventListener('abort', lost, { once: true });
    if (!this.#lease.isHeld()) lost();
    const followed = this.#feed.run().catch((error: unknown) => {
      this.#parts.failed('the watch of the registry', error);
      lost();
    });
    const shared = this.#shareOn(signal);
    const kept = this.#upkeep().run(signal);
    await Promise.all([shared, kept]);
    const workers = [...this.#held.values()].map(({ worker }) => worker);
    await endWorkers(workers, this.#lease, this.#parts.clock);
    await this.#feed.close();
    await followed;
    this.#lease.signal.removeEventListener('abort', lost);
    await this.#lease.release().catch(() => undefined);
  }

  close(): void {
    this.#ending.abort();
  }

  #feedParts(): FeedParts {
    const { engine, clock, failed } = this.#parts;
    const changed = (endpoints: ReadonlySet<string>): void => {
      for (const id of endpoints) {
        this.#changed.add(id);
        this.#held.get(id)?.lane.bell.ring();
      }
      this.#share();
    };
    const nudge = (): void => this.#nudge();
    return { engine, identity: this.#identity, clock, processor: this.id, changed, nudge, failed };
  }

  #upkeep(): Upkeep {
    const view = {
      id: this.id,
      feed: this.#feed,
      held: () => [...this.#held.values()],
      untold: this.#untold,
      record: () => this.#record(),
      inTurn: <T>(task: () => Promise<T>) => this.#inTurn(task),
      needed: (revision: number) => (this.#needed = revision),
    };
    return new Upkeep(this.#parts, view);
  }

  #share(): void {
    this.#shareAgain = true;
    this.#bell.ring();
  }

  async #shareOn(signal: AbortSignal): Promise<void> {
    const { clock, failed } = this.#parts;
    let all = true;
    while (!signal.aborted) {
      const again = (): boolean => all || this.#shareAgain;
      await this.#bell.until(again, { clock, ms: this.#parts.checkpointMs, signal });
      if (signal.aborted) return;
      // Now and then all are looked at: what went wrong is found then.
      all ||= !this.#shareAgain;
      this.#shareAgain = false;
      try {
        await this.#shareOnce(all);
        all = false;
      } catch (error) {
        failed('taking endpoints', error);
        await pause(clock, againMs, signal).catch(() => undefined);
        all = true;
      }
    }
  }

  /** Endpoints that changed since, or all where they may belong to others now. */
  async #shareOnce(all: boolean): Promise<void> {
    const { registry } = this.#feed;
    const processors = [...registry.processors].map(([id, { kinds }]) => ({ id, kinds }));
    const changed = [...this.#changed];
    this.#changed.clear();
    const whole =
      all ||
      registry.mode.by === 'pattern' ||
      registry !== this.#shared.registry ||
      registry.sharing !== this.#shared.sharing;
    this.#shared = { registry, sharing: registry.sharing };
    const known = new Set([...registry.endpoints.keys(), ...this.#held.keys()]);
    // Once each: what is counted twice makes other shares.
    const ids = whole ? [...known] : changed;
    const looked = ids.flatMap((id) => registry.endpoints.get(id) ?? []);
    const owners = shareOut(looked.map(sharedAs), processors, registry.mode);
    for (const id of ids) {
      const held = this.#held.get(id);
      if (held !== undefined) this.#letGo(held, owners.get(id));
    }
    const wanted = looked.filter(({ id, hold }) => {
      const free = hold === null || hold.processor === this.id;
      return free && owners.get(id) === this.id && !this.#held.has(id);
    });
    if (wanted.length === 0) return;
    await this.#inTurn(async () => {
      const { engine } = this.#parts;
      const taking = { engine, processor: this.id, lease: this.#lease, registry };
      for await (const taken of takeHolds(taking, [...new Set(wanted)])) this.#begin(taken);
    });
  }

  /** Of what is held and should not be; where the registry was read anew, what is held is no longer kept in step. */
  #letGo({ endpoint, worker, fence }: Held, owner: string | undefined): void {
    const now = this.#feed.registry.endpoints.get(endpoint.id);
    if (now === undefined || now.begins !== endpoint.begins) void worker.unregistered();
    // What the watch has not told yet has a higher revision than all that it has.
    else if (now.hold?.fence !== fence && this.#feed.position >= fence) void worker.lost();
    else if (owner !== this.id || now !== endpoint) void worker.giveUp();
  }

  #begin({ endpoint, fence, state }: Taken): void {
    const { engine, clock, random, turns, open, tried, tracing, kinds, failed } = this.#parts;
    const identity = this.#identity;
    const { id } = endpoint;
    const lane = new Lane(id, beginning(state.cursor), this.#waiting);
    const lease = this.#lease;
    const refused = (error: unknown): void =>
      failed(`delivering to endpoint ${id.slice(0, 16)}`, error);
    const store = new EndpointStore({ engine, clock, random, refused }, endpoint, { fence, lease });
    const sent = { endpoint, lease, fence, identity, open, turns, tried, tracing };
    const sender = new Sender({ clock, ...sent });
    const shared = { engine, endpoint, store, sender };
    const { bell } = lane;
    const teller = new Teller({ ...shared, clock, random, lease, fence, bell }, state);
    const kind = kinds.find(({ name }) => name === endpoint.record.kind);
    const limits = { events: kind?.eventsMax ?? 1, bytes: kind?.bytesMax ?? 1 };
    const feed = this.#feed;
    const worker = new EndpointWorker({ ...shared, identity, feed, lane, teller, limits });
    this.#untold.delete(id);
    this.#held.set(id, { endpoint, worker, store, lane, fence, lagTold: false });
    const over = (): void => {
      this.#held.delete(id);
      if (!worker.keptAll) this.#untold.add(id);
      this.#changed.add(id);
      this.#share();
    };
    worker.start().then(over, (error: unknown) => {
      refused(error);
      over();
    });
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const done = this.#serial.then(task);
    this.#serial = done.catch(() => undefined);
    return done;
  }

  #record(): string {
    const kinds = this.#parts.kinds.map(({ name }) => name);
    const endpoints = this.#held.size;
    return encodeRecord({ owner: this.#parts.owner, since: this.#since, endpoints, kinds });
  }

  async #announce(): Promise<void> {
    const put = { type: 'put', key: processorKey(this.id), value: this.#record() } as const;
    await this.#parts.engine.commit({ apply: [{ ...put, lease: this.#lease.id }] });
  }

  /** A write that every watch of the registry sees. */
  #nudge(): void {
    if (this.#nudging) return;
    this.#nudging = true;
    this.#parts.clock.nextTurn(() => {
      this.#nudging = false;
      this.#announce().catch((error: unknown) => {
        if (this.#ending.signal.aborted || isWaymarkError(error, 'not_found')) return;
        this.#parts.failed('announcing the processor', error);
        this.#parts.clock.after(againMs, () => this.#nudge());
      });
    });
  }
}
