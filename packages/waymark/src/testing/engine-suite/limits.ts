import assert from 'node:assert/strict';
import type { Check, Operation, Txn } from '../../core/engine.js';
import { limits, type LimitName } from '../../core/limits.js';
import {
  apply,
  type EngineContext,
  entryOf,
  put,
  putEach,
  refused,
  testsOf,
  unchangedBy,
  Watching,
} from './context.js';

/** K6: one over a limit is `too_large` naming it, before any work; at the limit and one below it works. */
export const limitTests = testsOf('K6', {
  'bytes of a key': async (context) => {
    const { engine } = context;
    const max = limits.keyBytesMax - context.keyOverheadBytes;
    for (const length of [max - 1, max]) {
      const key = 'k'.repeat(length);
      await apply(engine, put(key, String(length)));
      assert.equal((await entryOf(engine, key))?.value, String(length));
    }
    const key = 'k'.repeat(max + 1);
    await overLimit(context, 'keyBytesMax', max, { apply: [put(key)] });
    await overLimit(context, 'keyBytesMax', max, { apply: [{ type: 'delete', key }] });
    await overLimit(context, 'keyBytesMax', max, { apply: [{ type: 'read', key: 'a', end: key }] });
    await overLimit(context, 'keyBytesMax', max, {
      when: [{ key, target: 'version', is: '=', to: 0 }],
    });
    await refused(engine.read({ key }), 'too_large');
    await refused(new Watching(context, [{ key }], { after: 0 }).pull(), 'too_large');
  },

  'bytes of a value': async (context) => {
    const max = limits.valueBytesMax;
    for (const length of [max - 1, max]) {
      const value = '\xfe'.repeat(length);
      await apply(context.engine, put('k', value));
      assert.ok((await entryOf(context.engine, 'k'))?.value === value);
    }
    await overLimit(context, 'valueBytesMax', max, { apply: [put('k', 'v'.repeat(max + 1))] });
    await overLimit(context, 'valueBytesMax', max, {
      apply: [{ type: 'txn', txn: { otherwise: [put('k', 'v'.repeat(max + 1))] } }],
    });
  },

  'bytes of a commit, keys and values together': async (context) => {
    const max = limits.requestBytesMax;
    const keyBytes = 2 * (1 + context.keyOverheadBytes);
    const txn = (bytes: number): Txn => ({
      apply: [
        put('a', 'v'.repeat(limits.valueBytesMax)),
        {
          type: 'txn',
          txn: { apply: [put('b', 'v'.repeat(bytes - keyBytes - limits.valueBytesMax))] },
        },
      ],
    });
    await context.engine.commit(txn(max - 1));
    await context.engine.commit(txn(max));
    await overLimit(context, 'requestBytesMax', max, txn(max + 1));
  },

  'checks of a commit, added up along the nesting': async (context) => {
    const max = limits.checksMax;
    const check: Check = { key: 'a', target: 'version', is: '=', to: 0 };
    const checks = (count: number): Check[] => Array.from({ length: count }, () => check);
    const nested = (count: number): Txn => ({
      when: checks(count - 100),
      apply: [{ type: 'txn', txn: { when: checks(60) } }],
      otherwise: [{ type: 'txn', txn: { when: checks(40) } }],
    });
    for (const count of [max - 1, max]) {
      assert.ok((await context.engine.commit({ when: checks(count) })).succeeded);
      assert.ok((await context.engine.commit(nested(count))).succeeded);
    }
    await overLimit(context, 'checksMax', max, { when: checks(max + 1) });
    await overLimit(context, 'checksMax', max, nested(max + 1));
  },

  'operations of a commit, of both branches and added up along the nesting': async (context) => {
    const max = limits.operationsMax;
    const puts = (count: number, prefix: string): Operation[] =>
      Array.from({ length: count }, (_, n) => put(prefix + String(n)));
    const nested = (count: number): Txn => ({
      apply: puts(count - 100, 'a'),
      otherwise: [{ type: 'txn', txn: { apply: puts(60, 'b'), otherwise: puts(40, 'c') } }],
    });
    for (const count of [max - 1, max]) {
      await context.engine.commit({ apply: puts(count, 'k') });
      await context.engine.commit({ otherwise: puts(count, 'k') });
      await context.engine.commit(nested(count));
    }
    await overLimit(context, 'operationsMax', max, { apply: puts(max + 1, 'k') });
    await overLimit(context, 'operationsMax', max, { otherwise: puts(max + 1, 'k') });
    await overLimit(context, 'operationsMax', max, nested(max + 1));
  },

  'levels of nesting': async (context) => {
    const nest = (levels: number): Txn =>
      levels === 0 ? { apply: [put('deep')] } : { apply: [{ type: 'txn', txn: nest(levels - 1) }] };
    for (const levels of [limits.nestingMax - 1, limits.nestingMax])
      await context.engine.commit(nest(levels));
    await overLimit(context, 'nestingMax', limits.nestingMax, nest(limits.nestingMax + 1));
  },

  'ranges of a watch': async (context) => {
    const ranges = (count: number): { key: string }[] =>
      Array.from({ length: count }, (_, n) => ({ key: `k${n}` }));
    for (const count of [limits.rangesMax - 1, limits.rangesMax]) {
      const { revision } = await context.engine.status();
      const watching = new Watching(context, ranges(count), { after: revision });
      await putEach(context.engine, `k${count - 1}`);
      await watching.collect(1);
      await watching.leave();
    }
    const over = new Watching(context, ranges(limits.rangesMax + 1), { after: 0 });
    const error = await refused(over.pull(), 'too_large');
    assert.equal(error.facts.limit, 'rangesMax');
  },

  'the error tells the limit, its value and the actual figure': async ({ engine }) => {
    const error = await refused(
      apply(engine, put('k', 'v'.repeat(limits.valueBytesMax + 3))),
      'too_large',
    );
    assert.deepEqual(
      [error.facts.limit, error.facts.max, error.facts.actual],
      ['valueBytesMax', limits.valueBytesMax, limits.valueBytesMax + 3],
    );
  },
});

async function overLimit(
  context: EngineContext,
  limit: LimitName,
  max: number,
  txn: Txn,
): Promise<void> {
  const { engine } = context;
  await unchangedBy(engine, async () => {
    const error = await refused(engine.commit(txn), 'too_large');
    assert.equal(error.facts.limit, limit);
    assert.equal(error.facts.max, max);
    assert.ok((error.facts.actual as number) > max);
  });
}
