import type { Space } from 'waymark';
import {
  createLocalHost,
  createMemoryEngine,
  createSpace,
  type Clock,
  type Engine,
  ForwardingEngine,
  type Peers,
  type RecipeCall,
  systemRandom,
  WaymarkError,
} from 'waymark/engine';
import {
  announce,
  type AnnouncedNode,
  changeView,
  Coordinator,
  createView,
  readView,
  type NodeHint,
  type NodeRead,
  type NodeScan,
  type NodeWrite,
} from 'waymark/stash';
import { FakeClock } from 'waymark/testing';
import { MemoryNode } from './memory-node.js';

export interface BedOptions {
  readonly nodes: number;
  readonly replicas?: number;
  /** Of node i. Default: one for all. */
  readonly zones?: readonly string[];
  /** Of the coordinator. */
  readonly zone?: string;
}

/** Storage nodes in memory, whose faults can be had when they are wanted, a view of them, and spaces that coordinate. */
export class StashBed implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly engine: Engine = createMemoryEngine();
  readonly nodes: MemoryNode[] = [];
  readonly ids: string[] = [];
  readonly #options: BedOptions;
  readonly #closing: (() => Promise<void>)[] = [];

  private constructor(options: BedOptions) {
    this.#options = options;
  }

  static async open(options: BedOptions): Promise<StashBed> {
    const bed = new StashBed(options);
    for (let i = 0; i < options.nodes; i++) await bed.add();
    const { replicas = 3 } = options;
    const nodes = bed.ids.map((_, i) => bed.placed(i));
    if (nodes.length > 0) await createView(bed.engine, { epoch: 1, replicas, nodes });
    return bed;
  }

  /** A node that says who it is, and keeps nothing yet. */
  async add(): Promise<MemoryNode> {
    const i = this.nodes.length;
    const node = new MemoryNode(this.clock);
    this.nodes.push(node);
    this.ids.push(`node-${i}`);
    const lease = await this.engine.grant(31_536_000_000);
    await announce(this.engine, this.placed(i), lease.id);
    return node;
  }

  /** Puts all nodes there are into the view, and tells those that are up. */
  async grow(): Promise<void> {
    const seen = await readView(this.engine);
    if (seen === null) throw new Error('there is no view');
    const { replicas, epoch } = seen.view;
    const nodes = this.ids.map((_, i) => this.placed(i));
    await changeView(this.engine, seen, { replicas, nodes });
    for (const node of this.nodes) node.epoch = epoch + 1;
  }

  placed(i: number): AnnouncedNode {
    const zone = this.#options.zones?.[i] ?? 'z';
    return { id: this.ids[i] ?? '', zone, weight: 1, address: `127.0.0.1:${7000 + i}` };
  }

  /** What a process needs that asks the stash: a clock of its own, and an engine that may be away. */
  coordinator(parts: { readonly clock?: Clock; readonly engine?: Engine } = {}): Coordinator {
    const { clock = this.clock, engine = new ForwardingEngine(this.engine) } = parts;
    const { zone } = this.#options;
    const desk = new Coordinator({
      engine,
      clock,
      random: systemRandom,
      zone,
      peers: peersOf(this.nodes),
    });
    this.#closing.push(() => desk.close());
    return desk;
  }

  space(desk: Coordinator = this.coordinator()): Space {
    const { clock } = this;
    const host = createLocalHost(new ForwardingEngine(this.engine), { clock, stash: desk });
    const space = createSpace(host, { clock, random: systemRandom, owner: 'test' });
    this.#closing.push(() => space.close());
    return space;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closing.toReversed()) await close();
    await this.engine[Symbol.asyncDispose]();
  }
}

/** Nodes by their addresses, without a wire. */
function peersOf(nodes: readonly MemoryNode[]): Peers {
  const answer = (node: MemoryNode, name: string, args: unknown): Promise<unknown> => {
    if (name === 'stash-node.read') return node.read(args as NodeRead);
    if (name === 'stash-node.write') return node.write(args as NodeWrite);
    if (name === 'stash-node.scan') return node.scan(args as NodeScan);
    if (name === 'stash-node.hint') return node.hint(args as NodeHint);
    if (name === 'stash-node.indexes') return node.indexes();
    return Promise.reject(new WaymarkError('denied', `nodes of tests do no ${name}`));
  };
  return {
    address: undefined,
    async run<A, R>(address: string, call: RecipeCall<A, R>, _namespace: string, args: A) {
      const node = nodes[Number(address.split(':')[1]) - 7000];
      if (node === undefined) throw new WaymarkError('unavailable', `nobody at ${address}`);
      return (await answer(node, call.name, args)) as R;
    },
  };
}
