import type { Space, StashMove } from 'waymark';
import {
  checkHostPort,
  type Clock,
  type Engine,
  nodePeers,
  parseListen,
  pause,
  type Random,
  systemClock,
  systemRandom,
  WaymarkError,
} from 'waymark/engine';
import {
  type AnnouncedNode,
  announce,
  checkView,
  type HybridClock,
  type Known,
  moveStatus,
  RemotePeer,
  type NodeTold,
  servedFigures,
  servedNode,
  servedPeer,
  ViewWatch,
} from 'waymark/stash';
import { ServedPort, tableOf } from 'waymark/wire';
import type { Flushed } from './group-commit.js';
import { addressOf, tlsServer } from './node-address.js';
import { type TakenPlace, takePlace } from './node-place.js';
import { within } from './within.js';
import { toldOf } from './node-told.js';
import { openStore } from './open-store.js';
import { Reaper } from './reaper.js';
import { Mover } from './repair/mover.js';
import { PeerNode } from './repair/peer-node.js';
import { Repair, type RepairFigures, type RepairOptions } from './repair/repair.js';
import { StorageNode } from './storage-node.js';
import type { StashStore } from './store.js';

export interface StashNodeOptions {
  /** Where its data lies; made when it is missing. */
  readonly directory: string;
  /** Replicas are spread over zones. Default: one zone. */
  readonly zone?: string | undefined;
  /** Its share of the data beside others': 0.001 to 1 000, default 1. */
  readonly weight?: number | undefined;
  /** Where coordinators and other nodes reach it: `:port`, `host:port` (0: a free one). Default `127.0.0.1:0`. */
  readonly listen?: string | undefined;
  /** What they take instead of the address that is found, as `host:port`. */
  readonly advertise?: string | undefined;
  /** What they have to show. Default: nothing. */
  readonly token?: string | undefined;
  /** PEM files: it asks for TLS then. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  /** PEM file: the authority of other nodes' certificates. Default: what Node trusts. */
  readonly ca?: string | undefined;
  /** How it is kept the same as other replicas. */
  readonly repair?: RepairOptions | undefined;
  /** Values are refused when it has so much. Default: as much as the disk holds. */
  readonly quotaBytes?: number | undefined;
  /** Copies of each entry, where this is the first node: 1 to 7, default 3. */
  readonly replicas?: number | undefined;
  /** How long it counts as alive when it is silent. Default 5 000. */
  readonly ttlMs?: number | undefined;
}

export interface NodeServiceParts {
  readonly engine: Engine;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
  readonly told: (message: string) => void;
  readonly warned: (message: string, error?: unknown) => void;
  readonly flushed?: Flushed | undefined;
}

/** `starting`: it has not been told yet what it is. */
export type NodeState = 'starting' | TakenPlace;

const connectionsMax = 1_000;
const replicasDefault = 3;
const ttlMsDefault = 5_000;
const againMs = 1_000;
const joinAgainMs = 5_000;
const letGoMsMax = 2_000;

/** A storage node in this process: its store, the port where it is reached, and its place among the nodes of the space. */
export class StashNodeService {
  readonly node: StorageNode;
  readonly store: StashStore;
  /** Where it is reached: `host:port`, behind `tls://` where it asks for that. */
  readonly address: string;
  readonly #options: StashNodeOptions;
  readonly #parts: NodeServiceParts;
  readonly #clock: Clock;
  readonly #views: ViewWatch;
  readonly #port: ServedPort;
  readonly #stopping = new AbortController();
  #state: NodeState = 'starting';
  #reaper: Reaper | null = null;
  #repair: Repair | null = null;
  #mover: Mover | null = null;
  readonly #peers: ReturnType<typeof nodePeers>;
  #running: Promise<void> = Promise.resolve();
  #closed: Promise<void> | null = null;

  private constructor(
    made: { store: StashStore; node: StorageNode; views: ViewWatch; port: ServedPort },
    options: StashNodeOptions,
    parts: NodeServiceParts,
  ) {
    this.store = made.store;
    this.node = made.node;
    this.#views = made.views;
    this.#port = made.port;
    this.#options = options;
    this.#parts = parts;
    this.#clock = parts.clock ?? systemClock;
    this.address = addressOf(options, made.port.port);
    const { random = systemRandom } = parts;
    const { token, ca } = options;
    this.#peers = nodePeers({ clock: this.#clock, random }, { token, ca });
  }

  /** @throws {WaymarkError} as `openStore`, and `taken` or `invalid` for what cannot be listened on */
  static async open(options: StashNodeOptions, parts: NodeServiceParts): Promise<StashNodeService> {
    const { clock = systemClock, random = systemRandom, told, flushed, engine } = parts;
    const { host, port } = parseListen(options.listen ?? '127.0.0.1:0');
    if (options.advertise !== undefined) checkHostPort(options.advertise);
    const { zone = '', weight = 1, replicas = replicasDefault } = options;
    checkView({ epoch: 1, replicas, nodes: [{ id: 'self', zone, weight }] });
    const server = await tlsServer(options.tls, { clock, told });
    const { directory, quotaBytes, token } = options;
    const store = await openStore(directory, { clock, random, quotaBytes, told, flushed });
    const views = new ViewWatch(engine, clock);
    let service: StashNodeService | null = null;
    try {
      const node = new StorageNode(store, views);
      const peer = new PeerNode(store, (epoch) => node.follow(epoch));
      const told = servedFigures(async ({ repair }) => {
        if (service !== null) return service.tell(repair);
        throw new WaymarkError('unavailable', 'the node begins');
      });
      const table = tableOf([...servedNode(node), ...servedPeer(peer), ...told]);
      const name = 'storage node';
      const asked = { host, port, clock, table, name, token, connectionsMax, server };
      const served = await ServedPort.open(asked);
      service = new StashNodeService({ store, node, views, port: served }, options, parts);
      return service;
    } catch (error) {
      await store[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** For the coordinator of this process. */
  get here(): { readonly id: string; readonly node: StorageNode; readonly stamps: HybridClock } {
    return { id: this.store.id, node: this.node, stamps: this.store.stamps };
  }

  get state(): NodeState {
    return this.#state;
  }

  /** What it did to be the same as other replicas; null before it was started. */
  get repaired(): (RepairFigures & { readonly comparedMs: number | null }) | null {
    const repair = this.#repair;
    return repair === null ? null : { ...repair.figures, comparedMs: repair.comparedMs };
  }

  /** The move under way, as this node knows it; null: none. */
  get move(): StashMove | null {
    const known = this.#views.last;
    return known === null ? null : moveStatus(known, this.#clock.wallNow());
  }

  /** What it tells of itself to who runs the stash. @param repair  looks at all other replicas now */
  tell(repair: boolean): NodeTold {
    if (this.#repair !== null) return toldOf(this.store, this.#repair, repair);
    throw new WaymarkError('unavailable', 'the node begins');
  }

  /**
   * Says from here on that it is there, and takes its place. Resolves when it has one, or knows that it has to wait for it; at the latest after a while.
   */
  async start(space: Space): Promise<void> {
    const { signal } = this.#stopping;
    const listening = this.#views.listen(() => undefined);
    let isPlaced = (): void => undefined;
    const placed = new Promise<void>((resolve) => (isPlaced = resolve));
    this.#running = this.#run(space, isPlaced).finally(listening);
    this.#startRepair();
    this.#reaper = new Reaper(this.store, this.#clock);
    await Promise.race([placed, pause(this.#clock, ttlMsDefault, signal).catch(() => undefined)]);
  }

  /** Leaves what it keeps where it is: it counts as away until it is started again. */
  [Symbol.asyncDispose](): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#stopping.abort(new Error('the node stops'));
    await this.#running;
    await this.#repair?.[Symbol.asyncDispose]();
    await this.#mover?.[Symbol.asyncDispose]();
    await this.#peers.close();
    await this.#port.close();
    await this.#reaper?.[Symbol.asyncDispose]();
    await this.#views.close();
    await this.store[Symbol.asyncDispose]();
  }

  /** With each lease anew: the space may have taken it for dead. */
  async #run(space: Space, placed: () => void): Promise<void> {
    const { signal } = this.#stopping;
    const { engine, warned } = this.#parts;
    while (!signal.aborted) {
      try {
        const lease = await space.lease(this.#options.ttlMs ?? ttlMsDefault, { signal });
        try {
          const ending = AbortSignal.any([signal, lease.signal]);
          await announce(engine, this.#self(), lease.id, { signal });
          for (await this.#enter(); !ending.aborted;) {
            placed();
            const waits = this.#state === 'joining' || this.#state === 'starting';
            const ms = waits ? joinAgainMs : foreverMs;
            await pause(this.#clock, ms, ending).catch(() => undefined);
            if (waits && !ending.aborted) await this.#enter();
          }
        } finally {
          // One that does not answer sees the lease end by itself.
          await within(this.#clock, letGoMsMax, lease[Symbol.asyncDispose]());
        }
      } catch (error) {
        if (signal.aborted) return;
        warned('the node could not tell the space that it is there', error);
      }
      await pause(this.#clock, againMs, signal).catch(() => undefined);
    }
  }

  async #enter(): Promise<void> {
    const state = await takePlace(this.#self(), {
      engine: this.#parts.engine,
      replicas: this.#options.replicas ?? replicasDefault,
      isNew: this.#state === 'starting',
      isEmpty: () => this.store.stats().records === 0,
      signal: this.#stopping.signal,
    });
    this.#become(state);
  }

  #become(state: NodeState): void {
    if (this.#state === state) return;
    this.#state = state;
    const { told } = this.#parts;
    const what = { active: 'keeps', joining: 'is given', left: 'gave up', starting: 'looks for' };
    told(`node ${this.store.id} ${what[state]} its share of the stash`);
  }

  #startRepair(): void {
    const { random = systemRandom, engine, warned } = this.#parts;
    const peerOf = (id: string, known: Known) =>
      new RemotePeer(this.#peers, known.addressOf(id) ?? '');
    const shared = { store: this.store, views: this.#views, clock: this.#clock, warned, peerOf };
    this.#repair = new Repair({ ...shared, random }, this.#options.repair);
    this.#mover = new Mover({ ...shared, engine });
  }

  #self(): AnnouncedNode {
    const { zone = '', weight = 1 } = this.#options;
    return { id: this.store.id, address: this.address, zone, weight };
  }
}

const foreverMs = 86_400_000;
