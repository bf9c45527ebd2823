import { setImmediate as turn, setTimeout as sleepReally } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { type Namespace, open } from 'waymark';
import {
  createLocalHost,
  createMemoryEngine,
  createSpace,
  systemClock,
  systemRandom,
} from 'waymark/engine';
import { checkLinearizable, FakeClock, lockTableModel } from 'waymark/testing';
import { FaultProxy } from '../faults/proxy.js';
import { chooseSeed, SeededRandom, sized } from '../faults/random.js';
import { ServerProcess } from '../faults/server-process.js';
import { type MortalClient, mortalClock } from '../faults/mortal.js';
import { type LockTableHistory, recordLockTable } from './lock-table-history.js';

const file = 'test/locks/lock-table.test.ts';

async function inProcess(seed: number): Promise<LockTableHistory> {
  const clock = new FakeClock();
  const engine = createMemoryEngine({ clock });
  const random = new SeededRandom(seed);
  const connect = (owner: string): Promise<MortalClient> => {
    const death = new AbortController();
    const host = createLocalHost(engine, { clock });
    const space = createSpace(host, {
      clock: mortalClock(clock, death.signal),
      random: systemRandom,
      owner,
    });
    return Promise.resolve({ space, dead: death.signal, kill: () => death.abort() });
  };
  const sleep = (ms: number): Promise<void> =>
    new Promise((resolve) => void clock.after(ms, resolve));
  let done = false;
  const recording = recordLockTable({
    random,
    namespace: 'table',
    clients: 6,
    requests: 10,
    deaths: 0.1,
    ttlMs: 1_000,
    connect,
    sleep,
  }).finally(() => (done = true));
  while (!done) {
    await turn();
    clock.advance(1 + random.below(12));
  }
  return await recording;
}

async function remote(seed: number): Promise<LockTableHistory> {
  await using server = await ServerProcess.start('memory');
  const proxies: FaultProxy[] = [];
  const connect = async (owner: string): Promise<MortalClient> => {
    const death = new AbortController();
    const proxy = await FaultProxy.open(server.url);
    proxies.push(proxy);
    const kill = (): void => {
      proxy.refuse = true;
      proxy.cutAll();
      death.abort();
    };
    return { space: await open(proxy.url, { owner }), dead: death.signal, kill };
  };
  try {
    return await recordLockTable({
      random: new SeededRandom(seed),
      namespace: 'table',
      clients: 6,
      requests: 10,
      deaths: 0.1,
      ttlMs: 1_000,
      connect,
      sleep: (ms) => sleepReally(ms),
    });
  } finally {
    await Promise.all(proxies.map((proxy) => proxy[Symbol.asyncDispose]()));
  }
}

function faultsOf(history: LockTableHistory, seed: number): string[] {
  const verdict = checkLinearizable(lockTableModel, history.calls);
  const found = history.refused.map((one) => `seed ${seed}: a holder could not write: ${one}`);
  if (verdict.result !== 'ok')
    found.push(`seed ${seed}: ${verdict.result} at ${JSON.stringify(verdict.stuck)}`);
  return found;
}

function report(name: string, histories: readonly LockTableHistory[]): void {
  const sum = (of: (one: LockTableHistory) => number): number =>
    histories.reduce((all, one) => all + of(one), 0);
  console.log(
    `${name}: ${histories.length} histories, ${sum((one) => one.grants)} grants, ${sum((one) => one.waited)} after a wait, ` +
      `${sum((one) => one.deaths)} deaths`,
  );
}

test(
  '[L1 L2] histories of tree, exact, shared and exclusive locks fit the lock table',
  { timeout: 1_200_000 },
  async () => {
    const seed = chooseSeed(file);
    const histories: LockTableHistory[] = [];
    for (let number = 0; number < sized(100, 1_000); number++) {
      const history = await inProcess(seed + number);
      histories.push(history);
      expect(faultsOf(history, seed + number)).toEqual([]);
    }
    report('in one process', histories);
    const all = histories.flatMap((history) => history.calls);
    const kinds = new Set(all.map(({ input: { op, lock } }) => `${op} ${lock.mode} ${lock.tree}`));
    expect(kinds.size).toBe(12);
    expect(histories.some((history) => history.waited > 0)).toBe(true);
    expect(histories.some((history) => history.deaths > 0)).toBe(true);
  },
);

test(
  '[L1 L2] the same over a server, with clients that are cut off for good',
  { timeout: 600_000 },
  async () => {
    const seed = chooseSeed(file);
    const numbers = Array.from({ length: sized(10, 100) }, (_, number) => number);
    const histories: LockTableHistory[] = [];
    const lane = async (): Promise<void> => {
      for (let number = numbers.pop(); number !== undefined; number = numbers.pop()) {
        const history = await remote(seed + number);
        histories.push(history);
        expect(faultsOf(history, seed + number)).toEqual([]);
      }
    };
    await Promise.all([lane(), lane(), lane()]);
    report('over a server', histories);
  },
);

test('[checker] control: a grant beside a conflicting hold, and a token that does not grow, are found', async () => {
  const history = await inProcess(7);
  expect(faultsOf(history, 7)).toEqual([]);
  const held = new Set(
    history.calls
      .filter(({ input, output }) => input.op === 'end' && output?.held === true)
      .map(({ input }) => input.lock.id),
  );
  const early = history.calls.find(
    ({ input }) => input.op === 'end' && held.has(input.lock.id) && input.lock.mode === 'exclusive',
  );
  expect(early).toBeDefined();
  const neverEnded = history.calls.filter((call) => call !== early);
  expect(checkLinearizable(lockTableModel, neverEnded).result).toBe('violation');
  const last = history.calls
    .filter(({ input, output }) => input.op === 'acquire' && output?.token !== undefined)
    .at(-1);
  const reset = history.calls.map((call) =>
    call === last ? { ...call, output: { token: 1 } } : call,
  );
  expect(checkLinearizable(lockTableModel, reset).result).toBe('violation');
});

test('[L1] a tree lock on /a never meets /ab, and meets all at and below /a', async () => {
  await using engine = createMemoryEngine();
  const [mine, others] = ['one', 'two'].map((owner) =>
    createSpace(createLocalHost(engine), {
      clock: systemClock,
      random: systemRandom,
      owner,
    }).namespace('ns'),
  ) as [Namespace, Namespace];
  /** Both orders: the tree first, and the other first. */
  const meet = async (path: string, tree: boolean): Promise<boolean> => {
    const treeLock = await mine.lock('/a', { tree: true });
    const second = await others.tryLock(path, { tree });
    await second?.release();
    await treeLock.release();
    const first = await others.lock(path, { tree });
    const treeSecond = await mine.tryLock('/a', { tree: true });
    await treeSecond?.release();
    await first.release();
    expect(second === null, `both orders agree on ${path}`).toBe(treeSecond === null);
    return second === null;
  };
  for (const path of ['/ab', '/ab/c', '/a.b', '/a-', '/a0', '/A', '/b', '/aa/a']) {
    for (const tree of [false, true]) expect(await meet(path, tree), path).toBe(false);
  }
  for (const path of ['/a', '/a/b', '/a/b/c', '/a/-', '/a/ÿ']) {
    for (const tree of [false, true]) expect(await meet(path, tree), path).toBe(true);
  }
  expect(await meet('/', true)).toBe(true);
  expect(await meet('/', false)).toBe(false);
});

test('[L8] a shared holder beside another writes under its own hold', async () => {
  await using engine = createMemoryEngine();
  const [one, two] = ['one', 'two'].map((owner) =>
    createSpace(createLocalHost(engine), {
      clock: systemClock,
      random: systemRandom,
      owner,
    }).namespace('ns'),
  ) as [Namespace, Namespace];
  await using first = await one.lock('/a', { mode: 'shared' });
  await using second = await two.lock('/a', { mode: 'shared' });
  await one.put('/journal', 1, { hold: first });
  await two.put('/journal', 2, { hold: { path: '/a', token: second.token } });
  await second.release();
  await expect(
    two.put('/journal', 3, { hold: { path: '/a', token: second.token } }),
  ).rejects.toMatchObject({ code: 'lost' });
  expect((await one.get('/journal'))?.value).toBe(2);
});

test('[L13] a shared request does not overtake an exclusive one that waits', async () => {
  await using engine = createMemoryEngine();
  const [one, two, three] = ['one', 'two', 'three'].map((owner) =>
    createSpace(createLocalHost(engine), {
      clock: systemClock,
      random: systemRandom,
      owner,
    }).namespace('ns'),
  ) as [Namespace, Namespace, Namespace];
  const order: string[] = [];
  const waiting = async (count: number): Promise<void> => {
    while (order.length === 0 && (await one.explain('/a')).waiters.length < count) await turn();
  };
  const held = await one.lock('/a', { mode: 'shared' });
  const exclusive = two.lock('/a').then(async (lock) => {
    order.push('exclusive');
    await lock.release();
  });
  await waiting(1);
  const shared = three.lock('/a', { mode: 'shared' }).then(async (lock) => {
    order.push('shared');
    await lock.release();
  });
  await waiting(2);
  await held.release();
  await Promise.all([exclusive, shared]);
  expect(order).toEqual(['exclusive', 'shared']);
});
