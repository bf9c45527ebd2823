import { expect, test } from 'vitest';
import type { Batch, CallOptions, Engine, LeaseId } from '../core/engine.js';
import type { WaymarkError } from '../core/errors.js';
import type { Host } from '../core/host.js';
import { createMemoryEngine } from '../engines/memory/memory-engine.js';
import { createLocalHost } from '../space/local-host.js';
import { FakeClock } from '../testing/fake-clock.js';
import { ForwardingEngine } from '../wrap/forward.js';
import * as names from './names.js';
import * as semaphore from './semaphore.js';

/** A server that is told of nothing: what its clients wait for never comes. */
class Deaf extends ForwardingEngine {
  override async *watch(
    ...[, options]: Parameters<ForwardingEngine['watch']>
  ): AsyncGenerator<Batch> {
    await new Promise((_, reject) => {
      options?.signal?.addEventListener('abort', () => reject(options.signal?.reason));
    });
    yield* [];
  }
}

/** A server that is told of everything later, once it may. */
class Late extends ForwardingEngine {
  readonly #may: Promise<void>;
  tell: () => void = () => undefined;

  constructor(engine: Engine) {
    super(engine);
    this.#may = new Promise((resolve) => (this.tell = resolve));
  }

  override async *watch(...args: Parameters<ForwardingEngine['watch']>): AsyncGenerator<Batch> {
    for await (const batch of super.watch(...args)) {
      await this.#may;
      yield batch;
    }
  }
}

interface AskOptions extends CallOptions {
  readonly waitMs?: number;
}

interface Recipe {
  /** @returns the token */
  ask(host: Host, id: string, lease: LeaseId, options?: AskOptions): Promise<number | null>;
  release(host: Host, id: string, lease: LeaseId): Promise<unknown>;
  standing(host: Host): Promise<{ readonly holders: number; readonly waiters: number }>;
}

const mode = { path: '/x', tree: false, mode: 'exclusive' } as const;

const recipes: Readonly<Record<string, Recipe>> = {
  lock: {
    ask: (host, id, lease, options) =>
      host.acquire(
        'n',
        { ...mode, id, lease, owner: id, session: id, waitMs: options?.waitMs },
        options,
      ),
    release: (host, id) => host.release('n', { ...mode, id }),
    async standing(host) {
      const { holders, waiters } = await host.explain('n', mode);
      return { holders: holders.length, waiters: waiters.length };
    },
  },
  semaphore: {
    ask(host, id, lease, options) {
      const args = { path: '/x', id, lease, owner: id, session: id, weight: 1, limit: 1 };
      return host.run(semaphore.acquire, 'n', { ...args, waitMs: options?.waitMs }, options);
    },
    release: (host, id) => host.run(semaphore.release, 'n', { path: '/x', id }),
    async standing(host) {
      const told = await host.run(semaphore.explain, 'n', { path: '/x', weight: 1, parties: 9 });
      return { holders: told?.used ?? 0, waiters: told?.waiters.length ?? 0 };
    },
  },
  names: {
    async ask(host, id, lease, options) {
      const args = { path: '/x', id, lease, owner: id, session: id, list: 'only' };
      const none = { keeper: undefined, waitMs: options?.waitMs };
      return (await host.run(names.claim, 'n', { ...args, ...none }, options)).token;
    },
    release: (host, id, lease) =>
      host.run(names.release, 'n', { path: '/x', owner: id, lease, token: undefined }),
    async standing(host) {
      const { entries } = await host.read('n', { key: 'k/x\0p', end: 'k/x\0q' });
      const waiting = await host.read('n', { key: 'k/x\0w', end: 'k/x\0x' });
      return { holders: entries.length, waiters: waiting.entries.length };
    },
  },
};

/** Several that wait with one request, and who holds meanwhile. */
async function withWaits(
  { ask, standing }: Recipe,
  hosts: readonly Host[],
  by: Host,
  options: AskOptions,
): Promise<{ readonly waits: readonly Promise<unknown>[]; readonly other: LeaseId }> {
  const { id: lease } = await by.grant(60_000);
  const { id: other } = await by.grant(60_000);
  await ask(by, 'held', other);
  const waits: Promise<unknown>[] = [];
  for (const host of hosts) {
    const before = await by.status();
    const wait = ask(host, 'mine', lease, options);
    waits.push(wait.catch((error: unknown) => (error as WaymarkError).code));
    await expect.poll(async () => (await by.status()).revision).toBeGreaterThan(before.revision);
  }
  expect(await standing(by)).toEqual({ holders: 1, waiters: 1 });
  return { waits, other };
}

const nobody = new Error('the client of this wait is gone');

test.each(Object.keys(recipes))(
  '[L6] [L7] %s: a wait that was left at another server takes neither the place nor what was granted away',
  async (kind) => {
    const { ask, release, standing } = recipes[kind] as Recipe;
    await using engine = createMemoryEngine();
    await using left = createLocalHost(new Deaf(engine));
    await using now = createLocalHost(engine);
    const { id: lease } = await now.grant(60_000);
    const { id: other } = await now.grant(60_000);
    const waitedFor = { holders: 1, waiters: 1 };
    const gone: AbortController[] = [];
    const leave = (): Promise<unknown> => {
      const client = new AbortController();
      gone.push(client);
      return ask(left, 'mine', lease, { signal: client.signal }).catch((error: unknown) => error);
    };

    const held = (await ask(now, 'held', other)) as number;
    const waits = [leave()];
    await expect.poll(() => standing(now)).toEqual(waitedFor);
    waits.push(leave());
    const before = (await engine.status()).revision;
    const mine = ask(now, 'mine', lease);
    await expect.poll(async () => (await engine.status()).revision).toBeGreaterThan(before);
    gone[0]?.abort(nobody);
    expect(await waits[0]).toBe(nobody);
    expect(await standing(now), 'its place stands').toEqual(waitedFor);
    await release(now, 'held', other);
    expect(await mine).toBeGreaterThan(held);
    gone[1]?.abort(nobody);
    expect(await waits[1]).toBe(nobody);
    expect(await standing(now), 'what it was granted stands').toEqual({ holders: 1, waiters: 0 });

    // The wait that asked last takes its place along.
    const last = new AbortController();
    const behind = ask(now, 'behind', other, { signal: last.signal });
    await expect.poll(() => standing(now)).toEqual(waitedFor);
    last.abort(nobody);
    await expect(behind).rejects.toBe(nobody);
    expect(await standing(now)).toEqual({ holders: 1, waiters: 0 });
  },
);

test.each(Object.keys(recipes))(
  '[L6] %s: what the wait that was left is granted first is told to the one that goes on',
  async (kind) => {
    const recipe = recipes[kind] as Recipe;
    await using engine = createMemoryEngine();
    await using left = createLocalHost(engine);
    const late = new Late(engine);
    await using now = createLocalHost(late);
    const { waits, other } = await withWaits(recipe, [left, now], left, {});
    await recipe.release(left, 'held', other);
    const token = await waits[0];
    late.tell();
    expect([typeof token, await waits[1]]).toEqual(['number', token]);
    expect(await recipe.standing(left)).toEqual({ holders: 1, waiters: 0 });
  },
);

test.each(Object.keys(recipes))(
  '[L7] %s: who is out of time as the wait that was left is granted is not told that nothing is left',
  async (kind) => {
    const recipe = recipes[kind] as Recipe;
    await using engine = createMemoryEngine();
    await using left = createLocalHost(engine);
    const clock = new FakeClock();
    await using now = createLocalHost(new Deaf(engine), { clock });
    const waitMs = 60_000;
    const { waits, other } = await withWaits(recipe, [left, now], left, { waitMs });
    await recipe.release(left, 'held', other);
    expect(await waits[0]).toEqual(expect.any(Number));
    clock.advance(waitMs);
    expect(await waits[1]).toBe('uncertain');
  },
);

test('[P10] asking again for what is held writes nothing', async () => {
  const { ask } = recipes['semaphore'] as Recipe;
  await using engine = createMemoryEngine();
  await using host = createLocalHost(engine);
  const { id: lease } = await host.grant(60_000);
  const token = await ask(host, 'mine', lease);
  const { revision } = await engine.status();
  for (const options of [{}, { waitMs: 0 }, { waitMs: 50 }]) {
    expect(await ask(host, 'mine', lease, options)).toBe(token);
  }
  expect((await engine.status()).revision).toBe(revision);
});
