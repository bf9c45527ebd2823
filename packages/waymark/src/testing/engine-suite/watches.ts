import assert from 'node:assert/strict';
import type { Change } from '../../core/engine.js';
import {
  apply,
  describeChange,
  entryOf,
  everything,
  put,
  putEach,
  refused,
  testsOf,
  watchFromNow,
  Watching,
} from './context.js';

/** K8: what a watch delivers, and in which order. */
export const watchTests = testsOf('K8', {
  'after 0 delivers everything, in order, once': async (context) => {
    const { engine } = context;
    const expected: string[] = [];
    for (let n = 0; n < 40; n++) {
      const { revision } = await apply(engine, put(`k${n % 9}`, String(n)));
      expected.push(`put k${n % 9}@${revision}`);
    }
    const watching = new Watching(context, [everything], { after: 0 });
    assert.deepEqual((await watching.collect(40)).map(describeChange), expected);
    await watching.leave();
  },

  'from now on: a bookmark tells where it begins, then what comes after': async (context) => {
    const { engine } = context;
    const [before] = await putEach(engine, 'before');
    const watching = await watchFromNow(context, [everything]);
    assert.ok(watching.told >= (before as number));
    await putEach(engine, 'after');
    assert.deepEqual(keys(await watching.collect(1)), ['after']);
    await watching.leave();
  },

  'with `after` it stands from the call on, though nothing is pulled': async (context) => {
    const { engine } = context;
    const [now] = await putEach(engine, 'a');
    const watching = new Watching(context, [everything], { after: now as number });
    await putEach(engine, 'b', 'c', 'd');
    assert.deepEqual(keys(await watching.collect(3)), ['b', 'c', 'd']);
    await watching.leave();
  },

  'only what lies in the union of its ranges, each change once though ranges overlap': async (
    context,
  ) => {
    const { engine } = context;
    const ranges = [
      { key: 'a/', end: 'a0' },
      { key: 'a/b' },
      { key: 'a/a', end: 'a/c' },
      { key: 'z' },
      { key: 'x', end: '' },
    ];
    const watching = new Watching(context, ranges, { after: 0 });
    await putEach(engine, 'a', 'a/', 'a/b', 'a0', 'ab', 'w', 'x', 'z', 'z/');
    await apply(engine, put('a/b'), put('b'), put('z'), { type: 'delete', key: 'a/', end: 'a/b' });
    await putEach(engine, 'y-end');
    const seen = keys(await watching.collect(9));
    assert.deepEqual(seen.slice(0, 5), ['a/', 'a/b', 'x', 'z', 'z/']);
    assert.deepEqual([...seen.slice(5, 8)].sort(), ['a/', 'a/b', 'z']);
    assert.deepEqual(seen.slice(8), ['y-end']);
    await watching.leave();
  },

  'puts and deletes in one order; a delete is a tombstone at its revision': async (context) => {
    const { engine } = context;
    const watching = new Watching(context, [{ key: 'k' }], { after: 0 });
    const [created] = await putEach(engine, 'k');
    const { revision: deleted } = await apply(engine, { type: 'delete', key: 'k' });
    const [again] = await putEach(engine, 'k');
    const changes = await watching.collect(3);
    assert.deepEqual(changes.map(describeChange), [
      `put k@${created}`,
      `delete k@${deleted}`,
      `put k@${again}`,
    ]);
    const tombstone = changes[1]?.entry;
    assert.deepEqual([tombstone?.version, tombstone?.value], [0, '']);
    assert.deepEqual(changes[2]?.entry, await entryOf(engine, 'k'));
    await watching.leave();
  },

  'changes carry the entry before when asked, and not else': async (context) => {
    const { engine } = context;
    const [one, two] = (await putEach(engine, 'k', 'k')) as [number, number];
    await apply(engine, { type: 'delete', key: 'k' });
    const watching = new Watching(context, [everything], { after: 0, previous: true });
    const [create, update, remove] = await watching.collect(3);
    assert.equal(create?.previous, null);
    assert.deepEqual([update?.previous?.modRevision, update?.previous?.version], [one, 1]);
    assert.deepEqual([remove?.previous?.modRevision, remove?.previous?.value], [two, 'value of k']);
    await watching.leave();
    const plain = new Watching(context, [everything], { after: 0 });
    assert.ok((await plain.collect(3)).every((change) => change.previous === undefined));
    await plain.leave();
  },

  'resumed after any revision it goes on without gap or repeat': async (context) => {
    const { engine } = context;
    // An engine that is empty may stand anywhere: others write beside it.
    const from = (await engine.status()).revision;
    const all = new Watching(context, [{ key: 'k', end: 'l' }], { after: from });
    for (let n = 0; n < 12; n++) {
      if (n % 4 === 3) await apply(engine, { type: 'delete', key: 'k', end: 'k3' }, put('other'));
      else await apply(engine, put(`k${n % 4}`), put(`k${n % 4}/x`));
    }
    await putEach(engine, 'k-last');
    let seen: readonly Change[] = [];
    while (seen.at(-1)?.entry.key !== 'k-last') seen = await all.collect(seen.length + 1);
    const { revision } = await engine.status();
    for (let after = from; after < revision; after++) {
      const rest = seen.filter(({ entry }) => entry.modRevision > after).map(describeChange);
      const watching = new Watching(context, [{ key: 'k', end: 'l' }], { after });
      assert.deepEqual(
        (await watching.collect(rest.length)).map(describeChange),
        rest,
        `after ${after}`,
      );
      await watching.leave();
    }
    await all.leave();
  },

  'after the present revision waits for what comes': async (context) => {
    const { engine } = context;
    const [now] = await putEach(engine, 'a');
    const watching = new Watching(context, [everything], { after: now as number });
    const collected = watching.collect(1);
    await putEach(engine, 'b');
    assert.deepEqual(keys(await collected), ['b']);
    await watching.leave();
  },

  'bookmarks never pass a change that was not delivered': async (context) => {
    const { engine } = context;
    const watching = await watchFromNow(context, [{ key: 'k' }]);
    for (let n = 0; n < 30; n++) await putEach(engine, n % 10 === 9 ? 'k' : 'other');
    const changes = await watching.collect(3);
    for (const [n, batch] of watching.batches.entries()) {
      const later = watching.batches.slice(n + 1).flatMap((next) => next.changes);
      assert.ok(later.every(({ entry }) => entry.modRevision > batch.revision));
    }
    assert.equal(changes.length, 3);
    await watching.leave();
  },

  'a slow consumer gets all of it later, in whole revisions': async (context) => {
    const { engine } = context;
    const watching = await watchFromNow(context, [{ key: 'k', end: 'l' }]);
    const revisions: number[] = [];
    for (let n = 0; n < 60; n++) {
      const puts = Array.from({ length: 50 }, (_, m) => put(`k${m}`, String(n)));
      revisions.push((await apply(engine, ...puts)).revision);
    }
    await watching.collect(3_000);
    const per = new Map<number, number>();
    for (const batch of watching.batches) {
      for (const { entry } of batch.changes) {
        per.set(entry.modRevision, (per.get(entry.modRevision) ?? 0) + 1);
      }
    }
    assert.deepEqual([...per.keys()], revisions);
    assert.ok([...per.values()].every((count) => count === 50));
    await watching.leave();
  },

  'many watches of one key each get every change': async (context) => {
    const { engine } = context;
    const watches = Array.from(
      { length: 20 },
      (_, n) => new Watching(context, n % 2 === 0 ? [{ key: 'k' }] : [everything], { after: 0 }),
    );
    const revisions = await putEach(engine, 'k', 'k', 'k');
    for (const watching of watches) {
      const seen = (await watching.collect(3)).map(({ entry }) => entry.modRevision);
      assert.deepEqual(seen, revisions);
      await watching.leave();
    }
  },

  'a watch that is left ends at once, also while it waits': async (context) => {
    const watching = await watchFromNow(context, [everything]);
    const waiting = context.engine.watch([everything], { after: 0 })[Symbol.asyncIterator]();
    await watching.leave();
    const next = waiting.next();
    await waiting.return?.();
    assert.equal((await next).done, true);
    await putEach(context.engine, 'k');
  },

  'an abort ends it with the reason of the signal': async (context) => {
    const controller = new AbortController();
    const watching = await watchFromNow(context, [everything], { signal: controller.signal });
    const failure = watching.failure();
    const reason = new Error('enough');
    controller.abort(reason);
    assert.equal(await failure, reason);
    const late = new Watching(context, [everything], { after: 0, signal: controller.signal });
    assert.equal(await late.failure(), reason);
  },

  'above the present is future_revision, with the present': async (context) => {
    const [revision] = await putEach(context.engine, 'k');
    const watching = new Watching(context, [everything], { after: (revision as number) + 1_000 });
    const error = await refused(watching.pull(), 'future_revision');
    assert.equal(error.facts.revision, revision);
  },

  'resumed on the same identity it goes on; another identity is superseded': async (context) => {
    const { engine } = context;
    await putEach(engine, 'a');
    const { identity } = await engine.status();
    const same = new Watching(context, [everything], { after: 0, identity });
    assert.equal((await same.collect(1)).length, 1);
    await same.leave();
    const other = new Watching(context, [everything], { after: 0, identity: `${identity}-other` });
    await refused(other.pull(), 'superseded');
  },

  'an `after` that is no revision is invalid': async (context) => {
    for (const after of [-1, 1.5, Number.NaN]) {
      await refused(new Watching(context, [everything], { after }).pull(), 'invalid');
    }
  },
});

function keys(changes: readonly Change[]): string[] {
  return changes.map(({ entry }) => entry.key);
}
