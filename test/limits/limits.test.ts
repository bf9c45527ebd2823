import { expect, test } from 'vitest';
import { checkPattern } from '../../packages/server/src/watchers/glob.js';
import { type LimitName, limits, open } from 'waymark';
import {
  type Check,
  createMemoryEngine,
  type Operation,
  type Txn,
  wideLimits,
} from 'waymark/engine';

/** A call that is as large as it is told, in the measure of the limit. */
type Attempt = (size: number) => Promise<unknown>;

const engine = createMemoryEngine();
const space = await open();
const ns = space.namespace('limits');

const gets = (count: number): Operation[] =>
  Array.from({ length: count }, (_, n) => ({ type: 'read', key: `k${n}` }) as const);
const absent = (count: number): Check[] =>
  Array.from({ length: count }, (_, n) => ({ key: `k${n}`, target: 'version', is: '=', to: 0 }));
const nested = (depth: number): Txn =>
  depth === 0 ? { apply: gets(1) } : { apply: [{ type: 'txn', txn: nested(depth - 1) }] };
const value = (key: string, bytes: number): Operation => ({
  ...{ type: 'put', key, value: 'x'.repeat(bytes) },
});

/** Held by a test of their own, which knows how to fill what they bound. */
const elsewhere: Partial<Record<LimitName, string>> = {
  inboxMessagesMax: 'packages/waymark/src/recipes/bounds.test.ts',
  inboxBytesMax: 'packages/waymark/src/recipes/bounds.test.ts',
  streamsMax: 'packages/waymark/src/recipes/bounds.test.ts',
  streamPartsMax: 'packages/waymark/src/recipes/bounds.test.ts',
  streamBytesMax: 'packages/waymark/src/recipes/bounds.test.ts',
  semaphorePlacesMax: 'packages/waymark/src/recipes/semaphore.test.ts',
  stashKeyBytesMax: 'packages/server/src/stash/store.test.ts',
  stashIndexBytesMax: 'packages/server/src/stash/store.test.ts',
};

const attempts: Partial<Record<LimitName, Attempt>> = {
  pathBytesMax: (size) => ns.put(`/${'x'.repeat(size - 1)}`, 1),
  pathDepthMax: (size) => ns.put('/s'.repeat(size), 1),
  keyBytesMax: (size) => engine.commit({ apply: [value('k'.repeat(size), 1)] }),
  valueBytesMax: (size) => engine.commit({ apply: [value('v', size)] }),
  // Keys count as values do.
  requestBytesMax: (size) =>
    engine.commit({
      apply: [value('a', Math.floor(size / 2) - 1), value('b', Math.ceil(size / 2) - 1)],
    }),
  checksMax: (size) => engine.commit({ when: absent(size) }),
  operationsMax: (size) => engine.commit({ apply: gets(size) }),
  rangesMax: async (size) => {
    const ranges = Array.from({ length: size }, (_, n) => ({ key: `k${n}` }));
    const watch = engine.watch(ranges, { signal: AbortSignal.abort() });
    await watch[Symbol.asyncIterator]()
      .next()
      .catch((error: unknown) => {
        if ((error as Error).name !== 'AbortError') throw error;
      });
  },
  nestingMax: (size) => engine.commit(nested(size)),
  namespaceBytesMax: async (size) => await space.namespace('n'.repeat(size)).put('/a', 1),
  patternBytesMax: async (size) => checkPattern('/'.padEnd(size, 'x')),
  messageBytesMax: async (size) => {
    await using _member = await ns.members(`/m${size}`).join({ id: 'one', handle: () => 'taken' });
    // What goes over is JSON: two quotes.
    const reply = await ns.members(`/m${size}`).sendTo('one', 'x'.repeat(size - 2));
    return reply;
  },
  deadlineMsMax: async (size) => {
    await using _member = await ns.members(`/d${size}`).join({ id: 'one', handle: () => 'taken' });
    return await ns.members(`/d${size}`).sendTo('one', 1, { deadlineMs: size });
  },
  ttlMsMin: (size) => engine.grant(limits.ttlMsMin - (size - limits.ttlMsMin)),
  ttlMsMax: (size) => engine.grant(size),
  semaphoreLimitMax: async (size) => {
    await using permit = await ns.semaphore(`/s${size}`, { limit: size }).acquire();
    return permit;
  },
};

/** What is wrong in form, not too much: `invalid`. */
const inForm = new Set<LimitName>(['ttlMsMin', 'ttlMsMax', 'deadlineMsMax', 'semaphoreLimitMax']);

for (const [name, attempt] of Object.entries(attempts) as [LimitName, Attempt][]) {
  const max = limits[name];
  test(`[limits] ${name}: ${max - 1} and ${max} are taken, ${max + 1} is not`, async () => {
    await attempt(max - 1);
    await attempt(max);
    const over = attempt(max + 1);
    if (inForm.has(name)) await expect(over).rejects.toMatchObject({ code: 'invalid' });
    else
      await expect(over).rejects.toMatchObject({
        code: 'too_large',
        facts: { limit: name, max, actual: max + 1 },
      });
  });
}

test('[limits] every limit is tried here, or in the test that is named', async () => {
  const { readFile } = await import('node:fs/promises');
  expect(Object.keys({ ...attempts, ...elsewhere }).sort()).toEqual(Object.keys(limits).sort());
  for (const [name, file] of Object.entries(elsewhere)) {
    const text = await readFile(new URL(`../../${file}`, import.meta.url), 'utf8');
    expect(text, `${file} has nothing on ${name}`).toContain(name);
  }
});

test('[limits] a commit that says it is wide has the wider ones', async () => {
  const tried = {
    valueBytesMax: (size: number) => [value('v', size)],
    operationsMax: gets,
    checksMax: () => [],
    requestBytesMax: (size: number) => [
      value('a', Math.floor(size / 2) - 1),
      value('b', Math.ceil(size / 2) - 1),
    ],
  } satisfies Record<keyof typeof wideLimits, (size: number) => Operation[]>;
  for (const [limit, apply] of Object.entries(tried)) {
    const max = wideLimits[limit as keyof typeof wideLimits];
    const checks = (size: number): Check[] => (limit === 'checksMax' ? absent(size) : []);
    await engine.commit({ when: checks(max), apply: apply(max) }, { wide: true });
    const over = engine.commit({ when: checks(max + 1), apply: apply(max + 1) }, { wide: true });
    await expect(over, limit).rejects.toMatchObject({ code: 'too_large', facts: { limit } });
  }
});
