import type { Space } from 'waymark';
import {
  checkHostPort,
  type Clock,
  type Engine,
  isWaymarkError,
  nodePeers,
  parseListen,
  pause,
  type Random,
  systemClock,
  systemRandom,
} from 'waymark/engine';
import {
  type AnnouncedNode,
  announce,
  beginMove,
  changeView,
  checkView,
  createView,
  type HybridClock,
  type Known,
  type PlacedNode,
  readView,
  RemotePeer,
  servedNode,
  servedPeer,
  ViewWatch,
} from 'waymark/stash';
import { ServedPort, tableOf } from 'waymark/wire';
import { addressOf, tlsServer } from './node-address.js';
import { openStore } from './open-store.js';
import { Reaper } from './reaper.js';
import { Mover } from './repair/mover.js';
import { PeerNode } from './repair/peer-node.js';
import { Repair, type RepairOptions } from './repair/repair.js';
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
  /** How long each group of writes took until it was on the disk. */
  readonly flushed?: ((ms: number) => void) | undefined;
}

/** `joining`: it is being filled, or waits for that. `starting`: it has not been told yet what it is. `left`: it keeps nothing any more. */
export type NodeState = 'starting' | 'active' | 'joining' | 'left';

const connectionsMax = 1_000;
const replicasDefault = 3;
const ttlMsDefault = 5_000;
const againMs = 1_000;
const joinAgainMs = 5_000;

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
    const server = await tlsServer(options.tls);
    const { directory, quotaBytes, token } = options;
    const store = await openStore(directory, { clock, random, quotaBytes, told, flushed });
    const views = new ViewWatch(engine, clock);
    try {
      const node = new StorageNode(store, views);
      const peer = new PeerNode(store, (epoch) => node.follow(epoch));
      const table = tableOf([...servedNode(node), ...servedPeer(peer)]);
      const name = 'storage node';
      const asked = { host, port, clock, table, name, token, connectionsMax, server };
      const served = await ServedPort.open(asked);
      return new StashNodeService({ store, node, views, port: served }, options, parts);
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
        await using lease = await space.lease(this.#options.ttlMs ?? ttlMsDefault, { signal });
        const ending = AbortSignal.any([signal, lease.signal]);
        await announce(engine, this.#self(), lease.id, { signal });
        for (await this.#enter(); !ending.aborted;) {
          placed();
          const waits = this.#state === 'joining' || this.#state === 'starting';
          await pause(this.#clock, waits ? joinAgainMs : foreverMs, ending).catch(() => undefined);
          if (waits && !ending.aborted) await this.#enter();
        }
      } catch (error) {
        if (signal.aborted) return;
        warned('the node could not tell the space that it is there', error);
      }
      await pause(this.#clock, againMs, signal).catch(() => undefined);
    }
  }

  /** Takes its place in the view, where that moves no data. */
  async #enter(): Promise<void> {
    const { engine } = this.#parts;
    const { signal } = this.#stopping;
    const { id, zone, weight } = this.#self();
    for (;;) {
      const seen = await readView(engine, { signal });
      if (seen === null) {
        const nodes = [{ id, zone, weight }];
        await createView(
          engine,
          { epoch: 1, replicas: this.#options.replicas ?? replicasDefault, nodes },
          { signal },
        );
        continue;
      }
      const { replicas, nodes, also, left } = seen.view;
      const others = nodes.filter((node) => node.id !== id);
      const own = nodes.find((node) => node.id === id);
      if (own?.zone === zone && own.weight === weight) return this.#become('active');
      // It was drained while it ran: it comes back when it is started again.
      if (own === undefined && this.#state !== 'starting' && left?.includes(id) === true) {
        return this.#become('left');
      }
      const next = [...others, { id, zone, weight }];
      // Beside others it moves even where nothing seems to be kept: a write may be under way.
      if (also === undefined && others.length === 0) {
        const away = left?.filter((one) => one !== id);
        await changeView(engine, seen, { replicas, nodes: next, left: away }, { signal });
        continue;
      }
      // What it kept before it left is gone before it is given anything.
      const isLeft = left?.includes(id) === true;
      const ready = !isLeft || this.store.stats().records === 0;
      const asked = also === undefined && ready && (await this.#askIn({ id, zone, weight }));
      if (own !== undefined) return this.#become('active');
      // Until it is let in it stands among those that left, as one does that is drained.
      return this.#become(isLeft && !asked ? 'starting' : 'joining');
    }
  }

  /** Has its share of the data moved to it. @returns false while other data is being moved: then it waits */
  async #askIn(self: PlacedNode): Promise<boolean> {
    const withSelf = (nodes: readonly PlacedNode[]): PlacedNode[] =>
      nodes.filter(({ id }) => id !== self.id).concat(self);
    try {
      await beginMove(this.#parts.engine, withSelf, { signal: this.#stopping.signal });
      return true;
    } catch (error) {
      if (!isWaymarkError(error, 'conflict')) throw error;
      return false;
    }
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
