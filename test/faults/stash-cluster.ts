import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { vi } from 'vitest';
import { open, type Space } from 'waymark';
import { type Engine, nodePeers, openEngine, systemClock, systemRandom } from 'waymark/engine';
import {
  beginMove,
  bitsOf,
  forgetNode,
  KeyHash,
  type Known,
  partitionCount,
  type PlacedNode,
  Placement,
  RemoteNode,
  RemotePeer,
  safeToStop,
  type StashView,
  Unpacker,
  unpackDigests,
  ViewWatch,
} from 'waymark/stash';
import { Command, waymark } from '../support/command.js';
import type { MemoryGroup } from '../support/memory-group.js';
import { type RunningEtcd, startEtcd } from '../support/etcd.js';

export const patience = { timeout: 120_000, interval: 100 };
const allPartitions = Array.from({ length: partitionCount }, (_, one) => one);

export interface NodeProcess {
  readonly id: string;
  readonly command: Command;
  readonly data: string;
}

export interface NodeFlags {
  /** An earlier node's data. Default: a new directory. */
  readonly data?: string | undefined;
  readonly flags?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** What it runs in. */
  readonly memory?: MemoryGroup | undefined;
}

/** Storage nodes in processes of their own over one etcd, and what there is to know of them. */
export class StashCluster implements AsyncDisposable {
  readonly url: string;
  readonly etcd: RunningEtcd;
  readonly directory: string;
  readonly engine: Engine;
  /** A coordinator in this process. */
  readonly space: Space;
  /** Those that run. */
  readonly nodes = new Map<string, NodeProcess>();
  readonly #views: ViewWatch;
  readonly #peers = nodePeers({ clock: systemClock, random: systemRandom }, {});
  #made = 0;

  private constructor(parts: {
    readonly etcd: RunningEtcd;
    readonly url: string;
    readonly directory: string;
    readonly engine: Engine;
    readonly space: Space;
  }) {
    this.etcd = parts.etcd;
    this.url = parts.url;
    this.directory = parts.directory;
    this.engine = parts.engine;
    this.space = parts.space;
    this.#views = new ViewWatch(parts.engine, systemClock);
  }

  static async over(etcd: RunningEtcd): Promise<StashCluster> {
    const directory = await mkdtemp(join(tmpdir(), 'waymark-stash-cluster-'));
    const url = `etcd://${etcd.address}/stash`;
    const engine = await openEngine(url, { clock: systemClock, random: systemRandom });
    return new StashCluster({ etcd, url, directory, engine, space: await open(url) });
  }

  static async start(): Promise<StashCluster> {
    return await StashCluster.over(await startEtcd());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.space[Symbol.asyncDispose]();
    await this.#views.close();
    await this.#peers.close();
    await Promise.all([...this.nodes.values()].map(({ command }) => command.stop('SIGKILL')));
    await this.engine[Symbol.asyncDispose]();
    await this.etcd.stop();
    await rm(this.directory, { recursive: true, force: true });
  }

  async node({ data, flags = [], env = {}, memory }: NodeFlags = {}): Promise<NodeProcess> {
    const directory = data ?? join(this.directory, `node-${this.#made++}`);
    const args = ['--data', directory, '--space', this.url, '--log-level', 'silent', ...flags];
    const line = [process.execPath, waymark, '--json', 'stash', ...args] as const;
    const [file, ...rest] = memory?.around(line) ?? line;
    const command = new Command(file, rest, { env });
    const { id } = JSON.parse(await command.says('\n')) as { id: string };
    const node = { id, command, data: directory };
    this.nodes.set(id, node);
    return node;
  }

  /** As a machine that is gone. @param wipe  with its disk */
  async kill(id: string, { wipe = false } = {}): Promise<NodeProcess> {
    const node = this.nodes.get(id);
    if (node === undefined) throw new Error(`node ${id} does not run`);
    this.nodes.delete(id);
    await node.command.stop('SIGKILL');
    if (wipe) await rm(node.data, { recursive: true, force: true });
    return node;
  }

  async known(): Promise<Known> {
    return await this.#views.known();
  }

  async view(): Promise<StashView> {
    const { view } = await this.known();
    if (view === null) throw new Error('there is no view');
    return view.view;
  }

  /** The view has the nodes that run, and nothing moves. */
  async arrived(): Promise<StashView> {
    return await vi.waitFor(async () => {
      const view = await this.view();
      const placed = view.nodes.map(({ id }) => id).sort();
      const wanted = [...this.nodes.keys()].sort();
      if (view.also !== undefined || String(placed) !== String(wanted)) {
        throw new Error(`moves: ${JSON.stringify(view)}, there are ${wanted.join()}`);
      }
      return view;
    }, patience);
  }

  async moving(): Promise<void> {
    await vi.waitFor(
      async () => {
        if ((await this.view()).also === undefined) throw new Error('nothing moves');
      },
      { timeout: 30_000, interval: 10 },
    );
  }

  /** Waits until a node may be lost, as `waymark stash safe` tells it. */
  async safe(id: string): Promise<void> {
    await vi.waitFor(async () => {
      const answer = await safeToStop(id, await this.known(), (one) => this.peer(one));
      if (!answer.safe) throw new Error(`node ${id} may not be stopped: ${answer.reasons.join()}`);
    }, patience);
  }

  /** Begins to move as soon as nothing else is moved. */
  async move(change: (nodes: readonly PlacedNode[]) => readonly PlacedNode[]): Promise<void> {
    await vi.waitFor(() => beginMove(this.engine, change), patience);
  }

  /** Takes out a node that does not run, once it counts as dead. */
  async remove(id: string): Promise<void> {
    await vi.waitFor(async () => {
      if ((await this.known()).isAlive(id)) throw new Error(`node ${id} counts as alive`);
    }, patience);
    await this.move((nodes) => nodes.filter((node) => node.id !== id));
    await this.arrived();
    await forgetNode(this.engine, id);
  }

  /** Partitions whose replicas do not all say the same digest. */
  async differing(): Promise<number[]> {
    const { epoch, nodes, replicas } = await this.view();
    const told = new Map<string, (string | undefined)[]>();
    for (const { id } of nodes) {
      const ask = { epoch, partitions: bitsOf(allPartitions), grouped: false };
      const digests = unpackDigests(await this.peer(id).digests(ask));
      told.set(
        id,
        digests.map((one) => (one === null ? undefined : `${one.high} ${one.low}`)),
      );
    }
    const placement = new Placement(nodes, replicas);
    return allPartitions.filter((one) => {
      const each = placement.of(one).map(({ id }) => told.get(id)?.[one]);
      return each[0] === undefined || each.some((digest) => digest !== each[0]);
    });
  }

  /** Waits until all replicas are the same. @returns after how many ms */
  async same(withinMs = 60_000): Promise<number> {
    const began = performance.now();
    await vi.waitFor(
      async () => {
        const { length } = await this.differing();
        if (length > 0) throw new Error(`${length} partitions differ`);
      },
      { timeout: withinMs, interval: 250 },
    );
    return performance.now() - began;
  }

  /** Keys of an index that lie on a node's disk, tombstones too, as byte strings. */
  async keysOn(id: string, index: string): Promise<Set<string>> {
    const { epoch } = await this.view();
    const node = new RemoteNode(this.#peers, (await this.known()).addressOf(id) ?? '');
    const keys = new Set<string>();
    const hash = new KeyHash(index);
    const ask = { epoch, index, prefix: '', limit: 1_000, versionsOnly: true };
    let [from, last] = [0, ''];
    for (let more = true; more;) {
      const partitions = bitsOf(allPartitions.slice(from));
      const after = last === '' ? undefined : last;
      const page = await node.scan({ ...ask, partitions, after });
      for (const found = new Unpacker(page.entries); !found.done; found.finding()) {
        keys.add((last = found.key()));
      }
      from = last === '' ? 0 : hash.partition(last);
      more = page.more;
    }
    return keys;
  }

  peer(id: string): RemotePeer {
    return new RemotePeer(this.#peers, this.#views.last?.addressOf(id) ?? '');
  }

  /** What the command says, by its arguments behind `waymark stash --space URL`. */
  asked(...args: string[]): Command {
    const all = [waymark, 'stash', '--space', this.url, ...args];
    return new Command(process.execPath, all);
  }
}
