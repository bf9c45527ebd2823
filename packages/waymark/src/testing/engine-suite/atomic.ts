import assert from 'node:assert/strict';
import type { Txn } from '../../core/engine.js';
import {
  apply,
  entryOf,
  everything,
  keysOf,
  put,
  putEach,
  refused,
  testsOf,
  turn,
  unchangedBy,
  Watching,
} from './context.js';

/** K2: a commit happens whole, at one revision, or not at all. */
export const atomicTests = testsOf('K2', {
  'everything a commit changes carries its revision': async ({ engine }) => {
    await putEach(engine, 'a', 'b', 'old-1', 'old-2');
    const { revision } = await apply(
      engine,
      put('a', 'new'),
      { type: 'delete', key: 'old-', end: 'old.' },
      { type: 'txn', txn: { apply: [put('c'), put('b', 'new')] } },
    );
    const { entries } = await engine.read(everything);
    assert.deepEqual(
      entries.map(({ key, modRevision }) => [key, modRevision]),
      [
        ['a', revision],
        ['b', revision],
        ['c', revision],
      ],
    );
    assert.equal((await entryOf(engine, 'c'))?.createRevision, revision);
  },

  'a watch gets all changes of a commit in one batch': async (context) => {
    const { engine } = context;
    const [old] = await putEach(engine, 'old');
    const watching = new Watching(context, [everything], { after: old as number });
    const keys = Array.from({ length: 60 }, (_, n) => `key-${n}`);
    const { revision } = await apply(engine, ...keys.map((key) => put(key)), {
      type: 'delete',
      key: 'old',
    });
    await watching.collect(1);
    assert.equal(watching.changes.length, 61);
    assert.ok(watching.changes.every(({ entry }) => entry.modRevision === revision));
    await watching.leave();
  },

  'readers beside a writer see all of a commit or nothing of it': async ({ engine }) => {
    const keys = ['x', 'y', 'z'];
    await apply(engine, ...keys.map((key) => put(key, '0')));
    let writing = true;
    const reader = async (): Promise<void> => {
      while (writing) {
        await turn();
        const { entries } = await engine.read({ key: 'x', end: '{' });
        assert.equal(new Set(entries.map((entry) => entry.value)).size, 1);
        assert.equal(new Set(entries.map((entry) => entry.modRevision)).size, 1);
      }
    };
    const readers = [reader(), reader(), reader()];
    for (let n = 1; n <= 40; n++) await apply(engine, ...keys.map((key) => put(key, String(n))));
    writing = false;
    await Promise.all(readers);
  },

  'a commit that changes nothing does not advance the revision': async ({ engine }) => {
    const [revision] = await putEach(engine, 'a');
    const idle: Txn[] = [
      {},
      { apply: [{ type: 'read', key: 'a' }] },
      { apply: [{ type: 'delete', key: 'absent' }] },
      { apply: [{ type: 'delete', key: 'b', end: '' }] },
      { when: [{ key: 'a', target: 'version', is: '=', to: 7 }], apply: [put('a')] },
      { apply: [{ type: 'txn', txn: { otherwise: [put('a')] } }] },
    ];
    for (const txn of idle) assert.equal((await engine.commit(txn)).revision, revision);
    assert.equal((await engine.status()).revision, revision);
    assert.equal((await engine.read(everything)).revision, revision);
  },

  'putting the value that is there is a change': async ({ engine }) => {
    const [first] = await putEach(engine, 'a');
    const [second] = await putEach(engine, 'a');
    assert.ok((second as number) > (first as number));
    assert.equal((await entryOf(engine, 'a'))?.version, 2);
  },

  'a commit that is refused half-way has changed nothing': async (context) => {
    const { engine } = context;
    await putEach(engine, 'a', 'b');
    const gone = { type: 'put', key: 'd', value: '', lease: 4_711 } as const;
    await unchangedBy(engine, () =>
      refused(apply(engine, put('c'), { type: 'delete', key: 'a' }, gone), 'not_found'),
    );
    const nested: Txn = { apply: [{ type: 'txn', txn: { apply: [gone] } }] };
    await unchangedBy(engine, () =>
      refused(apply(engine, put('c'), { type: 'txn', txn: nested }), 'not_found'),
    );
    const before = (await engine.status()).revision;
    const watching = new Watching(context, [everything], { after: before });
    await putEach(engine, 'end');
    assert.deepEqual(
      (await watching.collect(1)).map(({ entry }) => entry.key),
      ['end'],
    );
    await watching.leave();
  },

  'the branch that does not run leaves no trace': async ({ engine }) => {
    const txn: Txn = {
      when: [{ key: 'a', target: 'version', is: '=', to: 0 }],
      apply: [put('then')],
      otherwise: [put('else')],
    };
    assert.equal((await engine.commit(txn)).succeeded, true);
    assert.deepEqual(await keysOf(engine), ['then']);
    await putEach(engine, 'a');
    assert.equal((await engine.commit(txn)).succeeded, false);
    assert.deepEqual(await keysOf(engine), ['a', 'else', 'then']);
  },
});
