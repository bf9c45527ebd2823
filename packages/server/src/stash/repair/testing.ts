import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Clock,
  createMemoryEngine,
  type Engine,
  type LeaseId,
  systemClock,
  systemRandom,
  WaymarkError,
} from 'waymark/engine';
import {
  announce,
  changeView,
  Coordinator,
  type CoordinatorOptions,
  createView,
  partitionCount,
  type PlacedNode,
  readView,
  RemotePeer,
  type StashPeer,
  ViewWatch,
} from 'waymark/stash';
import { toldOf } from '../node-told.js';
import { openStore } from '../open-store.js';
import { StorageNode } from '../storage-node.js';
import type { StashStore } from '../store.js';
import { type Entry, packEntries, packKeys, findingsOf } from '../testing.js';
import { Mover } from './mover.js';
import { PeerNode } from './peer-node.js';
import { Repair, type RepairOptions } from './repair.js';

type Peers = CoordinatorOptions['peers'];

/** Storage nodes of tests: real ones over real stores in one process, reached through a network that can be cut. */
export class TestCluster {
  readonly engine: Engine;
  readonly nodes: TestNode[] = [];
  /** Nodes that nobody reaches, and that reach nobody. */
  readonly cut = new Set<string>();
  readonly warnings: string[] = [];
  /** Wall time goes so far ahead of the machine's, for all. */
  wallAheadMs = 0;
  readonly clock: Clock = {
    now: () => systemClock.now(),
    wallNow: () => systemClock.wallNow() + this.wallAheadMs,
    after: (...timer) => systemClock.after(...timer),
    nextTurn: (task) => systemClock.nextTurn(task),
  };
  #coordinators: Coordinator[] = [];

  private constructor(engine: Engine) {
    this.engine = engine;
  }

  /** @param options.engine  what is made of the engine of the space */
  static async of(
    count: number,
    options: { replicas?: number; engine?: (inner: Engine) => Engine } = {},
  ): Promise<TestCluster> {
    const inner = createMemoryEngine();
    const cluster = new TestCluster(options.engine?.(inner) ?? inner);
    for (let position = 0; position < count; position++) await cluster.start();
    const nodes = cluster.nodes.map(({ placed }) => placed);
    await createView(cluster.engine, { epoch: 1, replicas: options.replicas ?? 3, nodes });
    return cluster;
  }

  /** One more, which is in no view yet. */
  async start(directory?: string): Promise<TestNode> {
    const { clock } = this;
    const data = directory ?? (await mkdtemp(join(tmpdir(), 'waymark-stash-')));
    const store = await openStore(data, { clock });
    const node = new TestNode(this, { directory: data, store, clock });
    this.nodes.push(node);
    const { id: lease } = await this.engine.grant(3_600_000);
    node.lease = lease;
    await announce(this.engine, { ...node.placed, address: node.address }, lease);
    return node;
  }

  /** Ends a node's process, so to say. @param wipe  and its disk is lost */
  async stop(node: TestNode, { wipe = false } = {}): Promise<void> {
    this.nodes.splice(this.nodes.indexOf(node), 1);
    await this.engine.revoke(node.lease);
    await node.close();
    if (wipe) await rm(node.directory, { recursive: true, force: true });
  }

  async changeNodes(
    change: (nodes: readonly PlacedNode[]) => readonly PlacedNode[],
  ): Promise<void> {
    const seen = await readView(this.engine);
    if (seen === null) throw new Error('there is no view');
    const { replicas, nodes } = seen.view;
    await changeView(this.engine, seen, { replicas, nodes: change(nodes) });
  }

  coordinator(options: Partial<CoordinatorOptions> = {}): Coordinator {
    const coordinator = new Coordinator({
      ...{ engine: this.engine, clock: this.clock, random: systemRandom },
      ...{ peers: this.peers('client'), ...options },
    });
    this.#coordinators.push(coordinator);
    return coordinator;
  }

  /** What of this is reached by somebody. */
  peers(from: string): Peers {
    return {
      address: undefined,
      run: async (address, call, _namespace, args) => {
        const node = this.nodes.find((one) => one.address === address);
        if (node === undefined || this.cut.has(node.store.id) || this.cut.has(from)) {
          throw new WaymarkError('unavailable', `${address} is not reached`);
        }
        if (call.name === 'stash-node.figures') {
          if (node.repair === null) throw new WaymarkError('unavailable', 'it does not repair');
          return toldOf(node.store, node.repair, (args as { repair: boolean }).repair) as never;
        }
        const [role, verb] = call.name.split('.') as [string, string];
        const served = role === 'stash-node' ? node.node : node.peer;
        const run = Reflect.get(served, verb) as (asked: unknown) => Promise<never>;
        return await run.call(served, args);
      },
    };
  }

  async close(): Promise<void> {
    for (const one of this.#coordinators) await one.close();
    this.#coordinators = [];
    for (const node of this.nodes.splice(0)) {
      await node.close();
      await rm(node.directory, { recursive: true, force: true });
    }
    await this.engine[Symbol.asyncDispose]();
  }
}

export class TestNode {
  readonly directory: string;
  readonly store: StashStore;
  readonly node: StorageNode;
  readonly peer: PeerNode;
  readonly views: ViewWatch;
  lease: LeaseId = 0;
  repair: Repair | null = null;
  mover: Mover | null = null;
  readonly #cluster: TestCluster;
  readonly #clock: Clock;
  readonly #unlisten: () => void;

  constructor(
    cluster: TestCluster,
    made: { readonly directory: string; readonly store: StashStore; readonly clock: Clock },
  ) {
    this.#cluster = cluster;
    this.#clock = made.clock;
    this.directory = made.directory;
    this.store = made.store;
    this.views = new ViewWatch(cluster.engine, systemClock);
    this.#unlisten = this.views.listen(() => undefined);
    this.node = new StorageNode(this.store, this.views);
    this.peer = new PeerNode(this.store, (epoch) => this.node.follow(epoch));
  }

  get id(): string {
    return this.store.id;
  }

  get address(): string {
    return `${this.id}:1`;
  }

  get placed(): PlacedNode {
    return { id: this.id, zone: '', weight: 1 };
  }

  /** How another one is reached from here. */
  peerOf(id: string): StashPeer {
    return new RemotePeer(this.#cluster.peers(this.id), `${id}:1`);
  }

  startRepair(options: RepairOptions = {}): Repair {
    this.repair = new Repair(
      {
        ...{ store: this.store, views: this.views, clock: this.#clock, random: systemRandom },
        peerOf: (id) => this.peerOf(id),
        warned: (message, error) =>
          void this.#cluster.warnings.push(`${message}: ${String((error as Error).message)}`),
      },
      { everyMs: 50, settleMs: 5, ...options },
    );
    return this.repair;
  }

  startMover(): Mover {
    this.mover = new Mover({
      ...{ engine: this.#cluster.engine, store: this.store, views: this.views },
      ...{ clock: this.#clock, peerOf: (id) => this.peerOf(id) },
      warned: (message, error) =>
        void this.#cluster.warnings.push(`${message}: ${String((error as Error).message)}`),
    });
    return this.mover;
  }

  async put(...entries: Entry[]): Promise<number> {
    return await this.store.write('some', packEntries(entries));
  }

  get(...keys: string[]) {
    return findingsOf(this.store.read('some', packKeys(keys), false));
  }

  /** Of all partitions. */
  async digests(): Promise<string[]> {
    const digests: string[] = [];
    for (let one = 0; one < partitionCount; one++) {
      const { high, low } = await this.store.partitions.digest(one);
      digests.push(`${high.toString(16)} ${low.toString(16)}`);
    }
    return digests;
  }

  async close(): Promise<void> {
    await this.repair?.[Symbol.asyncDispose]();
    await this.mover?.[Symbol.asyncDispose]();
    this.#unlisten();
    await this.views.close();
    await this.store[Symbol.asyncDispose]();
  }
}
