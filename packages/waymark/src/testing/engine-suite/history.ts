import assert from 'node:assert/strict';
import type { Operation } from '../../core/engine.js';
import { isWaymarkError } from '../../core/errors.js';
import {
  apply,
  describeChange,
  everything,
  keysOf,
  put,
  putEach,
  refused,
  testsOf,
  Watching,
} from './context.js';

/** K9: where history ends, it says so. */
export const historyTests = testsOf('K9', {
  'below the compaction point reads are compacted, with the point; at it and above they are not':
    async ({ engine }) => {
      const [r1, r2, r3] = (await putEach(engine, 'a', 'b', 'a')) as [number, number, number];
      await engine.compact(r2);
      assert.equal((await engine.status()).compacted, r2);
      for (const at of [1, r1]) {
        const error = await refused(engine.read({ key: 'a', at }), 'compacted');
        assert.equal(error.facts.compacted, r2);
      }
      const atPoint = await engine.read({ ...everything, at: r2 });
      assert.deepEqual(
        atPoint.entries.map((entry) => [entry.key, entry.modRevision]),
        [
          ['a', r1],
          ['b', r2],
        ],
      );
      assert.equal((await engine.read({ key: 'a', at: r3 })).entries[0]?.modRevision, r3);
    },

  'the state at the point stays whole: with what was changed or deleted since': async ({
    engine,
  }) => {
    await putEach(engine, 'a', 'b', 'c', 'gone');
    await apply(engine, { type: 'delete', key: 'gone' });
    const [point] = (await putEach(engine, 'd')) as [number];
    const then = await engine.read(everything);
    await apply(engine, put('a', 'new'), { type: 'delete', key: 'b' });
    await apply(engine, { type: 'delete', key: 'a' }, put('b', 'again'), put('gone', 'back'));
    await engine.compact(point);
    const now = await engine.read({ ...everything, at: point });
    assert.deepEqual(now.entries, then.entries);
    assert.deepEqual(await keysOf(engine), ['b', 'c', 'd', 'gone']);
  },

  'a read in a commit is refused below the point and above the present, and nothing is applied':
    async ({ engine }) => {
      const [r1, r2] = (await putEach(engine, 'a', 'a')) as [number, number];
      await engine.compact(r2);
      const read = (at: number) => apply(engine, put('b'), { type: 'read', key: 'a', at });
      assert.equal((await refused(read(r1), 'compacted')).facts.compacted, r2);
      await refused(read(r2 + 1_000), 'future_revision');
      assert.deepEqual(await keysOf(engine), ['a']);
    },

  'of several reads outside history in a commit the first tells why, of the branches that run':
    async ({ engine }) => {
      const [r1, r2] = (await putEach(engine, 'a', 'a')) as [number, number];
      await engine.compact(r2);
      const read = (at: number): Operation => ({ type: 'read', key: 'a', at });
      const [past, future] = [read(r1), read(r2 + 1_000)];
      const nested: Operation = { type: 'txn', txn: { apply: [future, past] } };
      const orders = [
        [[past, future], 'compacted'],
        [[future, past], 'future_revision'],
        [[read(r2), past, nested], 'compacted'],
        [[read(r2), nested, past], 'future_revision'],
      ] as const;
      const never = [{ key: 'a', target: 'version', is: '=', to: 0 }] as const;
      for (const [operations, code] of orders) {
        await refused(engine.commit({ apply: operations }), code);
        await refused(engine.commit({ when: never, apply: [past], otherwise: operations }), code);
        await refused(engine.commit({ when: never, apply: [future], otherwise: operations }), code);
      }
    },

  'above the present reads are future_revision, with the present': async ({ engine }) => {
    const [revision] = (await putEach(engine, 'a')) as [number];
    const error = await refused(engine.read({ key: 'a', at: revision + 1_000 }), 'future_revision');
    assert.equal(error.facts.revision, revision);
    assert.equal((await engine.read({ key: 'a', at: revision })).count, 1);
  },

  'a watch below the point is compacted, with the point; after the point it misses nothing': async (
    context,
  ) => {
    const { engine } = context;
    const revisions = await putEach(engine, 'a', 'b', 'c', 'd', 'e');
    const [, r2, r3] = revisions as [number, number, number];
    await engine.compact(r3);
    for (const after of [0, 1, r2]) {
      const watching = new Watching(context, [everything], { after });
      const error = await refused(watching.pull(), 'compacted');
      assert.equal(error.facts.compacted, r3, `after ${after}`);
    }
    const watching = new Watching(context, [everything], { after: r3 });
    assert.deepEqual(
      (await watching.collect(2)).map(({ entry }) => entry.modRevision),
      revisions.slice(3),
    );
    await watching.leave();
  },

  'a delete on the compaction point is not skipped in silence': async (context) => {
    const { engine } = context;
    const [created] = (await putEach(engine, 'k')) as [number];
    const { revision: deleted } = await apply(engine, { type: 'delete', key: 'k' });
    await putEach(engine, 'other');
    await engine.compact(deleted);
    const before = new Watching(context, [{ key: 'k' }], { after: created });
    await refused(before.pull(), 'compacted');
    assert.equal((await engine.read({ key: 'k', at: deleted })).count, 0);
  },

  'compaction under a watch that is behind: it gets everything, or compacted, never a gap': async (
    context,
  ) => {
    const { engine } = context;
    const watching = new Watching(context, [everything], { after: 0 });
    const revisions: number[] = [];
    for (let n = 0; n < 40; n++) revisions.push(...(await putEach(engine, `k${n % 5}`)));
    const point = revisions[29] as number;
    await engine.compact(point);
    revisions.push(...(await putEach(engine, 'last')));
    let failure: unknown = null;
    while (failure === null && watching.changes.length < revisions.length) {
      try {
        await watching.pull();
      } catch (error) {
        failure = error;
      }
    }
    const seen = watching.changes.map(({ entry }) => entry.modRevision);
    assert.deepEqual(seen, revisions.slice(0, seen.length));
    if (failure === null) return watching.leave();
    assert.ok(isWaymarkError(failure, 'compacted'), String(failure));
    assert.equal(failure.facts.compacted, point);
    assert.ok((seen.at(-1) ?? 0) < point);
  },

  'an idle watch lives on through compactions of what does not concern it': async (context) => {
    const { engine } = context;
    const watching = new Watching(context, [{ key: 'quiet' }], { after: 0 });
    // It stands: one that is still being opened may be overtaken.
    const opened = watching.collect(1);
    await putEach(engine, 'quiet');
    await opened;
    const next = watching.collect(2);
    const revisions = await putEach(
      engine,
      ...Array.from({ length: 30 }, (_, n) => `noise${n % 3}`),
    );
    await engine.compact(revisions.at(-1) as number);
    await putEach(engine, 'noise');
    const { revision } = await apply(engine, put('quiet', 'at last'));
    assert.deepEqual((await next).slice(1).map(describeChange), [`put quiet@${revision}`]);
    await watching.leave();
  },

  'compacting again lower has no effect, higher moves the point': async ({ engine }) => {
    const [r1, r2, r3] = (await putEach(engine, 'a', 'a', 'a')) as [number, number, number];
    await engine.compact(r2);
    await engine.compact(r1);
    await engine.compact(r2);
    assert.equal((await engine.status()).compacted, r2);
    assert.equal((await engine.read({ key: 'a', at: r2 })).entries[0]?.modRevision, r2);
    await engine.compact(r3);
    await refused(engine.read({ key: 'a', at: r2 }), 'compacted');
  },

  'compaction changes no entry': async ({ engine }) => {
    await putEach(engine, 'a', 'b', 'a');
    const before = await engine.read(everything);
    await engine.compact(before.revision);
    assert.deepEqual((await engine.read(everything)).entries, before.entries);
    assert.deepEqual(
      (await engine.read({ ...everything, at: before.revision })).entries,
      before.entries,
    );
  },

  'compacting above the present is future_revision, and what is no revision invalid': async ({
    engine,
  }) => {
    const [revision] = (await putEach(engine, 'a')) as [number];
    await refused(engine.compact(revision + 1_000), 'future_revision');
    for (const through of [-1, 0.5, Number.NaN]) await refused(engine.compact(through), 'invalid');
    for (const at of [-1, 0.5, Number.NaN]) await refused(engine.read({ key: 'a', at }), 'invalid');
    assert.ok((await engine.status()).compacted < revision);
  },
});
