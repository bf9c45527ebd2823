import assert from 'node:assert/strict';
import type { LeaseId } from '../../core/engine.js';
import { limits } from '../../core/limits.js';
import {
  apply,
  entryOf,
  everything,
  keysOf,
  put,
  refused,
  testsOf,
  watchFromNow,
} from './context.js';
import { assertEnded, timeUp } from './leases.js';

/** Where an id takes another form or another length; neighbours that are the same as doubles. */
const farIds: readonly LeaseId[] = [
  -1,
  Number.MAX_SAFE_INTEGER,
  Number.MIN_SAFE_INTEGER,
  '9007199254740992',
  '9007199254740993',
  '-9007199254740992',
  '9223372036854775806',
  '9223372036854775807',
  '-9223372036854775808',
];

/** Not in 64 bits, or not in the one form that the id has. */
const notIds = [
  ...[1.5, Number.NaN, 2 ** 53, -(2 ** 53)],
  ...['9223372036854775808', '-9223372036854775809', '42', '09223372036854775807', 'x', ''],
] as readonly LeaseId[];

/** K10: any int64 but 0 is the id of a lease, and may be asked for. */
export const leaseIdTests = testsOf('K10', {
  'an own id is granted once; a taken one is conflict; after its end it is free': async ({
    engine,
  }) => {
    const lease = await engine.grant(60_000, { id: 42 });
    assert.equal(lease.id, 42);
    const error = await refused(engine.grant(60_000, { id: 42 }), 'conflict');
    assert.equal(error.facts.lease, 42);
    await engine.revoke(42);
    assert.equal((await engine.grant(60_000, { id: 42 })).id, 42);
  },

  'what is no id is invalid, to grant, attach and compare': async ({ engine }) => {
    await refused(engine.grant(60_000, { id: 0 }), 'invalid');
    for (const id of notIds) {
      await refused(engine.grant(60_000, { id }), 'invalid');
      await refused(apply(engine, put('k', '', { lease: id })), 'invalid');
      const check = { key: 'k', target: 'lease', is: '=', to: id } as const;
      await refused(engine.commit({ when: [check] }), 'invalid');
    }
    assert.deepEqual(await engine.leases(), []);
  },

  'an id below 0, or beyond what a number can say, is an id like others': async (context) => {
    const { engine } = context;
    for (const id of farIds) {
      assert.equal((await engine.grant(60_000, { id })).id, id);
      assert.equal((await refused(engine.grant(60_000, { id }), 'conflict')).facts.lease, id);
    }
    assert.deepEqual(sorted(await engine.leases()), sorted(farIds));
    const watching = await watchFromNow(context, [everything], { previous: true });
    for (const id of farIds) await apply(engine, put(`k${id}`, '', { lease: id }));
    for (const id of farIds) {
      assert.equal((await entryOf(engine, `k${id}`))?.lease, id);
      assert.equal((await engine.renew(id)).id, id);
      const state = await engine.lease(id);
      assert.deepEqual([state?.id, state?.keys], [id, [`k${id}`]]);
    }
    for (const id of farIds) {
      await engine.revoke(id);
      await assertEnded(engine, id);
      const error = await refused(apply(engine, put('k', '', { lease: id })), 'not_found');
      assert.equal(error.facts.lease, id);
    }
    assert.deepEqual(await keysOf(engine), []);
    const changes = await watching.collect(2 * farIds.length);
    const told = changes.map(({ kind, entry, previous }) => [kind, entry.lease, previous?.lease]);
    assert.deepEqual(told, [
      ...farIds.map((id) => ['put', id, undefined]),
      ...farIds.map((id) => ['expire', 0, id]),
    ]);
    await watching.leave();
  },

  'leases of all ids end when their time is up, each with its keys': async (context) => {
    const { engine } = context;
    for (const id of farIds) await engine.grant(limits.ttlMsMin, { id });
    await apply(engine, ...farIds.map((id) => put(`k${id}`, '', { lease: id })));
    const watching = await watchFromNow(context, [everything], { previous: true });
    timeUp(context);
    const changes = await watching.collect(farIds.length);
    assert.deepEqual(
      changes.map(({ kind, entry, previous }) => `${kind} ${entry.key} ${previous?.lease}`).sort(),
      farIds.map((id) => `expire k${id} ${id}`).sort(),
    );
    for (const id of farIds) await assertEnded(engine, id);
    await watching.leave();
  },

  'a put keeps a far id where it keeps the lease, and a commit answers with it': async ({
    engine,
  }) => {
    for (const id of farIds) {
      await engine.grant(60_000, { id });
      await apply(engine, put('k', 'a', { lease: id }));
      await apply(engine, put('k', 'b', { keepLease: true }));
      const { results } = await apply(engine, put('k', 'c', { previous: true }));
      const [result] = results;
      assert.ok(result?.type === 'put' && result.previous?.lease === id);
      assert.equal((await entryOf(engine, 'k'))?.lease, 0);
    }
  },

  'ids that the engine picks are distinct positive safe integers': async ({ engine }) => {
    const leases = await Promise.all(Array.from({ length: 50 }, () => engine.grant(60_000)));
    const ids = leases.map((lease) => lease.id);
    assert.equal(new Set(ids).size, 50);
    assert.ok(ids.every((id) => Number.isSafeInteger(id) && (id as number) > 0));
    assert.deepEqual(sorted(await engine.leases()), sorted(ids));
    assert.equal((await engine.status()).leases, 50);
  },
});

function sorted(ids: readonly LeaseId[]): string[] {
  return ids.map(String).sort();
}
