import { setTimeout as rest } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { isWaymarkError, open, type Space, type StashIndex } from 'waymark';
import { FaultProxy } from './proxy.js';
import { chooseSeed, SeededRandom, sized } from './random.js';
import { ServerProcess } from './server-process.js';
import { patience, StashCluster } from './stash-cluster.js';
import { percentile, SetLoad, waits } from './stash-load.js';

/** Storage nodes that come and go under load, while one that has a part in it is killed each time (quality.md, G17). */
const cycles = sized(3, 50);
const roles = ['source', 'target', 'coordinator'] as const;

let cluster: StashCluster;
let coordinator: Coordinating;
let stale: StaleClient;
beforeEach(async () => {
  cluster = await StashCluster.start();
  coordinator = await Coordinating.start(cluster.url);
  stale = await StaleClient.open(cluster.etcd.address);
});
afterEach(async () => {
  await stale.close();
  await coordinator.close();
  await cluster[Symbol.asyncDispose]();
});

/** A server without a node, by which clients reach the stash: it may be killed, and another one takes its place. */
class Coordinating {
  readonly #url: string;
  #server: ServerProcess;
  #space: Space;

  private constructor(url: string, server: ServerProcess, space: Space) {
    this.#url = url;
    this.#server = server;
    this.#space = space;
  }

  static async start(url: string): Promise<Coordinating> {
    const server = await ServerProcess.start(url, {}, ['--no-stash']);
    return new Coordinating(url, server, await open(server.url));
  }

  get index(): StashIndex<number> {
    return this.#space.stash.index<number>('set');
  }

  async kill(): Promise<void> {
    const [server, space] = [this.#server, this.#space];
    await server[Symbol.asyncDispose]();
    this.#server = await ServerProcess.start(this.#url, {}, ['--no-stash']);
    this.#space = await open(this.#server.url);
    await space[Symbol.asyncDispose]();
  }

  async close(): Promise<void> {
    await this.#space[Symbol.asyncDispose]();
    await this.#server[Symbol.asyncDispose]();
  }
}

/** A client that reaches the nodes, and hears nothing of the space when it is told so: it goes on by the view that it knows. */
class StaleClient {
  readonly #proxy: FaultProxy;
  readonly #space: Space;
  #tries = 0;

  private constructor(proxy: FaultProxy, space: Space) {
    this.#proxy = proxy;
    this.#space = space;
  }

  static async open(etcd: string): Promise<StaleClient> {
    const proxy = await FaultProxy.open(`http://${etcd}`);
    const url = proxy.url.replace('http', 'etcd');
    return new StaleClient(proxy, await open(`${url}/stash`));
  }

  /** What was acknowledged. */
  readonly written: number[] = [];

  /** Numbers below zero, which nobody else writes. @returns null: it is written; else why not */
  async write(): Promise<string | null> {
    const key = -1 - this.#tries++;
    const set = this.#space.stash.index<number>('set');
    try {
      await set.put(key, key, { deadlineMs: 1_000 });
      this.written.push(key);
      return null;
    } catch (error) {
      return isWaymarkError(error) ? error.code : String(error);
    }
  }

  cutOff(): void {
    this.#proxy.set({ halfOpen: true });
  }

  heal(): void {
    this.#proxy.heal();
  }

  async close(): Promise<void> {
    this.#proxy.heal();
    await this.#space[Symbol.asyncDispose]();
    await this.#proxy[Symbol.asyncDispose]();
  }
}

test(`[D6.2 D6.3] 3 → 5 → 3 nodes under load, ${cycles} times, one that has a part in it killed in each move: nothing is lost, nothing comes back, all can be read all the time, and a node's share moves alone`, async () => {
  const random = new SeededRandom(chooseSeed('test/faults/stash-moves.test.ts'));
  for (let n = 0; n < 3; n++) await cluster.node();
  await cluster.arrived();
  const own = cluster.space.stash.index<number>('set');
  await using load = new SetLoad(random, { deletesOf100: 5, restMs: sized(20, 200) });
  for (const index of [() => own, () => coordinator.index]) load.write(index);
  load.read(() => own);
  expect(await stale.write()).toBeNull();
  await vi.waitFor(() => expect(load.added.length).toBeGreaterThan(2_000), patience);
  const refused: string[] = [];
  const shares: number[] = [];
  let moves = 0;

  /** One node more or less, with a kill in the midst and a client that knows nothing of it. */
  const move = async (begin: () => Promise<string>, change: 'join' | 'drain'): Promise<string> => {
    const before = await copies();
    stale.cutOff();
    const moved = await begin();
    await cluster.moving();
    // What it writes goes by the view before, and is refused by nodes that know of the move.
    const refusal = vi.waitFor(async () => {
      const why = await stale.write();
      if (why === null) throw new Error('written by a view that is over');
      refused.push(why);
    }, patience);
    await rest(random.below(700));
    const role = roles[moves++ % roles.length];
    if (role === 'coordinator') await coordinator.kill();
    else {
      const isMoved = (role === 'target') === (change === 'join');
      const others = [...cluster.nodes.keys()].filter((id) => id !== moved);
      const { id, data } = await cluster.kill(isMoved ? moved : random.pick(others));
      const again = await cluster.node({ data });
      expect(again.id).toBe(id);
    }
    await refusal;
    await ended(moved, change);
    stale.heal();
    await vi.waitFor(async () => expect(await stale.write()).toBeNull(), patience);
    shares.push(await share(before, moved, change));
    return moved;
  };

  let data: (string | undefined)[] = [undefined, undefined];
  for (let cycle = 0; cycle < cycles; cycle++) {
    const joined: string[] = [];
    for (const old of data) {
      const join = async (): Promise<string> => (await cluster.node({ data: old })).id;
      joined.push(await move(join, 'join'));
    }
    data = [];
    for (const id of joined.toReversed()) {
      const drain = async (): Promise<string> => {
        await cluster.move((nodes) => nodes.filter((node) => node.id !== id));
        return id;
      };
      await move(drain, 'drain');
      // It comes back with what it had, or with what it had not deleted yet.
      data.push((await cluster.kill(id)).data);
    }
  }
  await load.end();
  const sameMs = await cluster.same();
  await load.verify(own);
  process.stdout.write(
    `stash: ${moves} moves with a kill in each: ${load.added.length} numbers acknowledged that stay, ${load.deleted.length} deleted, ${load.wrong.length} wrong of ${load.reads} reads, ${load.failures} tries failed; ` +
      `a key waited for its read ${waits(load.readMs)}; for its write ${waits(load.writeMs)}; shares moved ${shares.map((one) => one.toFixed(3)).join(' ')} of what they should be; ` +
      `by a view that was over: ${[...new Set(refused)].join()}; the same after ${Math.round(sameMs)} ms\n`,
  );
  expect(load.wrong.slice(0, 5)).toEqual([]);
  expect(await own.getMany(stale.written)).toEqual(stale.written);
  expect(load.deleted.length).toBeGreaterThan(moves * 10);
  expect(percentile(load.readMs.values(), 99)).toBeLessThan(5_000);
  expect(refused).toHaveLength(moves);
  for (const one of shares) expect(one).toBeCloseTo(1, 1);
}, 14_400_000);

/** Resolves when the node has its share, or none any more. */
async function ended(moved: string, change: 'join' | 'drain'): Promise<void> {
  await vi.waitFor(async () => {
    const { also, nodes } = await cluster.view();
    expect(also).toBeUndefined();
    expect(nodes.some(({ id }) => id === moved)).toBe(change === 'join');
  }, patience);
}

/** Who has which keys on its disk. */
async function holders(): Promise<Map<string, Set<string>>> {
  const each = new Map<string, Set<string>>();
  for (const { id } of (await cluster.view()).nodes) each.set(id, await cluster.keysOn(id, 'set'));
  return each;
}

/** Of some keys alone, once all copies of them are there and no more. Those that were deleted 15 minutes ago are nowhere any more (rule D5.6); what was lost otherwise is found by reading. */
async function copies(of?: ReadonlySet<string>): Promise<Map<string, Set<string>>> {
  const keys = of ?? union(await holders());
  return await vi.waitFor(async () => {
    const { replicas } = await cluster.view();
    const each = new Map<string, Set<string>>();
    let count = 0;
    for (const [id, some] of await holders()) {
      const here = new Set([...some].filter((key) => keys.has(key)));
      each.set(id, here);
      count += here.size;
    }
    expect(count).toBe(union(each).size * replicas);
    return each;
  }, patience);
}

function union(each: ReadonlyMap<string, ReadonlySet<string>>): Set<string> {
  return new Set([...each.values()].flatMap((some) => [...some]));
}

/** Of what was there before a move: copies that lie elsewhere than before, of those that a node of so many should have. */
async function share(
  before: ReadonlyMap<string, ReadonlySet<string>>,
  moved: string,
  change: 'join' | 'drain',
): Promise<number> {
  const { nodes, replicas } = await cluster.view();
  const after = await copies(union(before));
  let gone = 0;
  for (const [id, some] of after) {
    const had = before.get(id) ?? new Set();
    const gained = [...some].filter((key) => !had.has(key)).length;
    if (change === 'join' && id !== moved) expect(gained, `${id} gained`).toBe(0);
    gone += gained;
  }
  const count = change === 'join' ? nodes.length : nodes.length + 1;
  return gone / ((union(after).size * replicas) / count);
}
