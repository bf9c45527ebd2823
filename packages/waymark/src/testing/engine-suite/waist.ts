import assert from 'node:assert/strict';
import type { Engine } from '../../core/engine.js';
import { apply, everything, put, putEach, testsOf } from './context.js';

const methods = [
  'read',
  'commit',
  'watch',
  'grant',
  'renew',
  'revoke',
  'lease',
  'leases',
  'compact',
  'status',
] as const satisfies readonly (keyof Engine)[];

/** K12: the waist is whole on every engine, so one suite can run on all. */
export const waistTests = testsOf('K12', {
  'every method of the waist is there, none is optional': async ({ engine }) => {
    for (const method of methods) assert.equal(typeof engine[method], 'function', method);
    assert.equal(typeof engine[Symbol.asyncDispose], 'function');
  },

  'an engine opens empty: nothing is in it and nothing is compacted': async ({ engine }) => {
    const { entries, count, more } = await engine.read(everything);
    assert.deepEqual([entries, count, more], [[], 0, false]);
    assert.deepEqual(await engine.leases(), []);
    const { keys, leases, compacted, revision } = await engine.status();
    assert.deepEqual([keys, leases], [0, 0]);
    assert.ok(compacted <= revision);
  },

  'status tells the engine, its identity, and counts what lives': async ({ engine }) => {
    const first = await engine.status();
    assert.ok(first.engine.length > 0 && first.identity.length > 0);
    await putEach(engine, 'a', 'b', 'c', 'a');
    await apply(engine, { type: 'delete', key: 'b' }, put('long', 'x'.repeat(1_000)));
    await engine.grant(60_000);
    const then = await engine.status();
    assert.equal(then.identity, first.identity);
    assert.deepEqual([then.keys, then.leases], [3, 1]);
    // What the store of an engine elsewhere takes may shrink by itself.
    assert.ok(then.bytes > 0 && Number.isSafeInteger(then.bytes));
    assert.equal(then.revision, (await engine.read(everything)).revision);
    await apply(engine, { type: 'delete', ...everything });
    const last = await engine.status();
    assert.equal(last.keys, 0);
  },

  'answers hold what the types say and nothing else that is shared': async ({ engine }) => {
    await putEach(engine, 'a', 'b');
    const before = await engine.read(everything);
    try {
      (before.entries as unknown[]).length = 0;
    } catch {
      // A frozen answer is as good.
    }
    assert.equal((await engine.read(everything)).entries.length, 2);
  },
});
