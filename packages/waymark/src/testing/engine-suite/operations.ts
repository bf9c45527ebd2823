import assert from 'node:assert/strict';
import type { Operation, Txn } from '../../core/engine.js';
import { apply, entryOf, keysOf, put, putEach, refused, testsOf, unchangedBy } from './context.js';

/** K4: put, delete, read and nested transactions. */
export const operationTests = testsOf('K4', {
  'a put creates at version 1, then counts on; a delete starts over': async ({ engine }) => {
    const [first] = await putEach(engine, 'k');
    const [second] = await putEach(engine, 'k');
    const entry = await entryOf(engine, 'k');
    assert.deepEqual(entry, {
      key: 'k',
      value: 'value of k',
      createRevision: first,
      modRevision: second,
      version: 2,
      lease: 0,
    });
    await apply(engine, { type: 'delete', key: 'k' });
    assert.equal(await entryOf(engine, 'k'), null);
    const [third] = await putEach(engine, 'k');
    assert.deepEqual(
      [(await entryOf(engine, 'k'))?.version, (await entryOf(engine, 'k'))?.createRevision],
      [1, third],
    );
  },

  'a put answers with what it replaced, when asked': async ({ engine }) => {
    const created = await apply(engine, put('k', 'one', { previous: true }));
    assert.deepEqual(created.results, [{ type: 'put', previous: null }]);
    const before = await entryOf(engine, 'k');
    const replaced = await apply(engine, put('k', 'two', { previous: true }), put('j'));
    assert.deepEqual(replaced.results[0], { type: 'put', previous: before });
    assert.equal(replaced.results[1]?.type === 'put' && replaced.results[1].previous, undefined);
  },

  'a put can keep the value or the lease there is, of a key that exists': async ({ engine }) => {
    const { id } = await engine.grant(60_000);
    await apply(engine, put('k', 'kept', { lease: id }));
    await apply(engine, put('k', 'new', { keepLease: true }));
    assert.deepEqual(
      [(await entryOf(engine, 'k'))?.value, (await entryOf(engine, 'k'))?.lease],
      ['new', id],
    );
    await apply(engine, put('k', '', { keepValue: true }));
    assert.deepEqual(
      [(await entryOf(engine, 'k'))?.value, (await entryOf(engine, 'k'))?.lease],
      ['new', 0],
    );
    await unchangedBy(engine, async () => {
      await refused(apply(engine, put('absent', '', { keepValue: true })), 'not_found');
      await refused(apply(engine, put('absent', '', { keepLease: true })), 'not_found');
    });
  },

  'a delete tells how many keys it removed, and which, in key order': async ({ engine }) => {
    await putEach(engine, 'c', 'a', 'd', 'b');
    const { entries } = await engine.read({ key: 'a', end: 'd' });
    const outcome = await apply(engine, { type: 'delete', key: 'a', end: 'd', previous: true });
    assert.deepEqual(outcome.results, [{ type: 'delete', deleted: 3, previous: entries }]);
    assert.deepEqual(await keysOf(engine), ['d']);
    const last = await apply(engine, { type: 'delete', key: 'd' });
    assert.equal(last.results[0]?.type === 'delete' && last.results[0].deleted, 1);
    assert.equal(last.results[0]?.type === 'delete' && last.results[0].previous, undefined);
  },

  'deleting what is absent changes nothing': async ({ engine }) => {
    await putEach(engine, 'k');
    await unchangedBy(engine, async () => {
      for (const operation of [
        { type: 'delete', key: 'absent', previous: true },
        { type: 'delete', key: 'l', end: '', previous: true },
      ] as const) {
        const { results } = await apply(engine, operation);
        assert.deepEqual(results, [{ type: 'delete', deleted: 0, previous: [] }]);
      }
    });
  },

  'reads in a commit see its earlier writes and not its later ones': async ({ engine }) => {
    await putEach(engine, 'gone');
    const read: Operation = { type: 'read', key: '', end: '' };
    const outcome = await apply(
      engine,
      read,
      put('new', 'value'),
      read,
      { type: 'delete', key: 'gone' },
      { type: 'txn', txn: { apply: [read, put('nested')] } },
      read,
    );
    const flat = outcome.results.flatMap((result) =>
      result.type === 'txn' ? result.results : [result],
    );
    const seen = flat.flatMap((result) =>
      result.type === 'read' ? [result.reading.entries.map((entry) => entry.key)] : [],
    );
    assert.deepEqual(seen, [['gone'], ['gone', 'new'], ['new'], ['nested', 'new']]);
    const reading = flat[2];
    assert.ok(reading?.type === 'read');
    assert.equal(reading.reading.revision, outcome.revision);
    assert.equal(reading.reading.entries[1]?.modRevision, outcome.revision);
  },

  'results come one per operation of the branch that ran, nested in nested': async ({ engine }) => {
    const nested: Txn = {
      when: [{ key: 'absent', target: 'version', is: '>', to: 0 }],
      apply: [put('x')],
      otherwise: [{ type: 'delete', key: 'x' }, put('y')],
    };
    const { succeeded, results } = await apply(
      engine,
      put('a'),
      { type: 'txn', txn: nested },
      put('b'),
    );
    assert.equal(succeeded, true);
    assert.deepEqual(results, [
      { type: 'put' },
      { type: 'txn', succeeded: false, results: [{ type: 'delete', deleted: 0 }, { type: 'put' }] },
      { type: 'put' },
    ]);
  },

  'what can run together writes a key at most once': async ({ engine }) => {
    await putEach(engine, 'k', 'l');
    const nested = (txn: Txn): Operation => ({ type: 'txn', txn });
    const twice: Operation[][] = [
      [put('k'), put('k')],
      [put('k'), { type: 'delete', key: 'k' }],
      [{ type: 'delete', key: 'k' }, put('k')],
      [{ type: 'delete', key: 'a', end: 'l' }, put('k')],
      [put('k'), { type: 'delete', key: 'a', end: '' }],
      [put('k'), nested({ apply: [put('k')] })],
      [nested({ apply: [put('k')] }), nested({ otherwise: [put('k')] })],
      [nested({ apply: [{ type: 'delete', key: 'k', end: 'm' }] }), put('l')],
      [nested({ apply: [put('k'), nested({ otherwise: [{ type: 'delete', key: 'k' }] })] })],
    ];
    await unchangedBy(engine, async () => {
      for (const operations of twice) {
        await refused(engine.commit({ apply: operations }), 'invalid');
        await refused(engine.commit({ otherwise: operations }), 'invalid');
      }
    });
  },

  'branches that exclude each other may write the same key, and deletes may overlap': async ({
    engine,
  }) => {
    await putEach(engine, 'a', 'b', 'c');
    await engine.commit({ apply: [put('a')], otherwise: [put('a')] });
    await apply(engine, { type: 'txn', txn: { apply: [put('b')], otherwise: [put('b')] } });
    const { results } = await apply(
      engine,
      { type: 'delete', key: 'a', end: 'c' },
      { type: 'delete', key: 'b', end: '' },
      put('0'),
    );
    assert.deepEqual(results.slice(0, 2), [
      { type: 'delete', deleted: 2 },
      { type: 'delete', deleted: 1 },
    ]);
    assert.deepEqual(await keysOf(engine), ['0']);
  },

  'a range that is deleted may be read and checked by the same commit': async ({ engine }) => {
    await putEach(engine, 'a', 'b');
    const { succeeded, results } = await engine.commit({
      when: [{ key: 'a', end: 'c', target: 'version', is: '=', to: 1 }],
      apply: [
        { type: 'delete', key: 'a', end: 'c' },
        { type: 'read', key: 'a', end: 'c' },
      ],
    });
    assert.equal(succeeded, true);
    assert.ok(results[1]?.type === 'read' && results[1].reading.count === 0);
  },

  'what is no operation, check or comparison is invalid': async ({ engine }) => {
    const wrong: unknown[] = [
      { apply: [{ type: 'rename', key: 'a' }] },
      { when: [{ key: 'a', target: 'colour', is: '=', to: 0 }] },
      { when: [{ key: 'a', target: 'version', is: '>=', to: 0 }] },
      { when: [{ key: 'a', target: 'version', is: '=', to: Number.NaN }] },
      { when: [{ key: 'a', target: 'value', is: '=', to: 0 }] },
      { apply: [{ type: 'put', key: 'a' }] },
      { apply: [{ type: 'put', key: 'a', value: '', lease: 1.5 }] },
      { apply: [{ type: 'put', key: 'a', value: '', lease: 5, keepLease: true }] },
    ];
    await unchangedBy(engine, async () => {
      for (const txn of wrong) await refused(engine.commit(txn as Txn), 'invalid');
    });
  },
});
