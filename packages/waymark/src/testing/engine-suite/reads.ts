import assert from 'node:assert/strict';
import type { Engine, OrderBy, Query, Reading } from '../../core/engine.js';
import { apply, everything, keysOf, put, putEach, refused, testsOf } from './context.js';

/** K7: what a read can ask for. */
export const readTests = testsOf('K7', {
  'a read that begins after a commit was answered sees it': async ({ engine }) => {
    for (let n = 0; n < 30; n++) {
      await apply(engine, put('k', String(n)), put(`k/${n}`));
      const reading = await engine.read({ key: 'k', end: 'l' });
      assert.equal(reading.entries[0]?.value, String(n));
      assert.equal(reading.count, n + 2);
    }
  },

  'a stale read may be behind, but never ahead, and is whole': async ({ engine }) => {
    for (let n = 0; n < 10; n++) await apply(engine, put('x', String(n)), put('y', String(n)));
    const present = await engine.status();
    const { entries, revision } = await engine.read(everything, { stale: true });
    assert.ok(revision <= present.revision);
    assert.equal(new Set(entries.map((entry) => entry.value)).size <= 1, true);
  },

  'one key: the entry or nothing': async ({ engine }) => {
    const [revision] = await putEach(engine, 'k');
    const found = await engine.read({ key: 'k' });
    assert.deepEqual(
      [found.count, found.more, found.entries.length, found.revision],
      [1, false, 1, revision],
    );
    const none = await engine.read({ key: 'absent' });
    assert.deepEqual(none, { revision, entries: [], more: false, count: 0 });
  },

  'order by each target, both ways; equal ones stay in key order': async ({ engine }) => {
    await fill(engine);
    const expected: Record<OrderBy, [string, string]> = {
      key: ['abcde', 'edcba'],
      create: ['cabed', 'debac'],
      mod: ['acbed', 'debca'],
      version: ['adebc', 'bcade'],
      value: ['bcdea', 'adecb'],
    };
    for (const [orderBy, [up, down]] of Object.entries(expected) as [OrderBy, [string, string]][]) {
      assert.equal((await keysOf(engine, { ...everything, orderBy })).join(''), up, orderBy);
      const descending = await keysOf(engine, { ...everything, orderBy, descending: true });
      assert.equal(descending.join(''), down, `${orderBy}, descending`);
    }
    assert.equal((await keysOf(engine, { ...everything, descending: true })).join(''), 'edcba');
  },

  'limit, more and count': async ({ engine }) => {
    await putEach(engine, 'a', 'b', 'c', 'd', 'outside');
    const range = { key: 'a', end: 'e' };
    const asked: [Partial<Query>, string, boolean][] = [
      [{ limit: 1 }, 'a', true],
      [{ limit: 3 }, 'abc', true],
      [{ limit: 4 }, 'abcd', false],
      [{ limit: 5 }, 'abcd', false],
      [{ limit: 0 }, 'abcd', false],
      [{ limit: 2, descending: true }, 'dc', true],
      [{ limit: 4, orderBy: 'mod', descending: true }, 'dcba', false],
      [{ limit: 3, orderBy: 'create' }, 'abc', true],
    ];
    for (const [options, keys, more] of asked) {
      const reading = await engine.read({ ...range, ...options });
      assert.deepEqual(facts(reading), [keys, more, 4], JSON.stringify(options));
    }
    const page = await engine.read({ ...range, limit: 2, uncounted: true });
    assert.deepEqual(facts(page), ['ab', true, 2]);
    for (const limit of [-1, 1.5, Number.NaN, Infinity]) {
      await refused(engine.read({ ...range, limit }), 'invalid');
    }
  },

  'keys only and count only': async ({ engine }) => {
    await putEach(engine, 'a', 'b');
    const full = await engine.read(everything);
    const keysOnly = await engine.read({ ...everything, keysOnly: true });
    assert.deepEqual(keysOnly, {
      ...full,
      entries: full.entries.map((entry) => ({ ...entry, value: '' })),
    });
    const countOnly = await engine.read({ ...everything, countOnly: true });
    assert.deepEqual(countOnly, { ...full, entries: [] });
    const one = await engine.read({ key: 'a', keysOnly: true });
    assert.deepEqual([one.entries[0]?.value, one.entries[0]?.version], ['', 1]);
    assert.deepEqual((await engine.read({ key: 'a', countOnly: true })).entries, []);
  },

  'bounds on the revisions filter the entries, not the count': async ({ engine }) => {
    const revisions = await putEach(engine, 'a', 'b', 'c', 'a');
    const [a, b, c, again] = revisions as [number, number, number, number];
    const asked: [Partial<Query>, string][] = [
      [{ minModRevision: c }, 'ac'],
      [{ minModRevision: c + 1 }, 'a'],
      [{ maxModRevision: b }, 'b'],
      [{ minModRevision: b, maxModRevision: c }, 'bc'],
      [{ minCreateRevision: b }, 'bc'],
      [{ maxCreateRevision: b }, 'ab'],
      [{ maxCreateRevision: a, minModRevision: again }, 'a'],
      [{ minModRevision: again + 1 }, ''],
    ];
    for (const [options, keys] of asked) {
      const reading = await engine.read({ ...everything, ...options });
      assert.deepEqual(facts(reading), [keys, false, 3], JSON.stringify(options));
    }
    const page = await engine.read({ ...everything, minCreateRevision: b, limit: 1 });
    assert.deepEqual(facts(page), ['b', true, 3]);
    assert.deepEqual((await engine.read({ key: 'b', maxModRevision: a })).entries, []);
  },

  'the past: each revision shows what was there then': async ({ engine }) => {
    const shots: [number, readonly unknown[]][] = [];
    const shoot = async (): Promise<void> => {
      const { revision, entries } = await engine.read(everything);
      shots.push([revision, entries]);
    };
    for (let n = 0; n < 12; n++) {
      await apply(engine, put(`k${n % 3}`, String(n)), { type: 'delete', key: `k${(n + 1) % 3}` });
      await shoot();
    }
    for (const [at, entries] of shots) {
      assert.deepEqual((await engine.read({ ...everything, at })).entries, entries, `at ${at}`);
      const one = await engine.read({ key: 'k1', at });
      assert.equal(one.count, one.entries.length);
    }
  },

  'the past takes every other option too': async ({ engine }) => {
    const [, , at] = (await putEach(engine, 'a', 'b', 'c')) as [number, number, number];
    await apply(engine, { type: 'delete', key: 'a' }, put('b', 'new'), put('d'));
    const past = { ...everything, at };
    assert.deepEqual(facts(await engine.read({ ...past, limit: 2 })), ['ab', true, 3]);
    assert.deepEqual(facts(await engine.read({ ...past, descending: true })), ['cba', false, 3]);
    assert.deepEqual(facts(await engine.read({ ...past, minModRevision: at })), ['c', false, 3]);
    assert.equal((await engine.read({ ...past, countOnly: true })).count, 3);
  },

  'a read in a commit can ask for the past': async ({ engine }) => {
    const [at] = await putEach(engine, 'k');
    const { results } = await apply(
      engine,
      { type: 'delete', key: 'k' },
      { type: 'read', key: 'k' },
      { type: 'read', key: 'k', at },
    );
    assert.ok(results[1]?.type === 'read' && results[1].reading.count === 0);
    assert.ok(results[2]?.type === 'read' && results[2].reading.entries[0]?.value === 'value of k');
  },
});

/** a–e with distinct orders by each target, and ties by version. */
async function fill(engine: Engine): Promise<void> {
  for (const [key, value] of ['c2', 'a9', 'b1', 'c2', 'b1', 'e3', 'd3'].map((text) => [...text])) {
    await apply(engine, put(key as string, value));
  }
}

function facts(reading: Reading): [string, boolean, number] {
  return [reading.entries.map((entry) => entry.key).join(''), reading.more, reading.count];
}
