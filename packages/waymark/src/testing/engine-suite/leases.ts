import assert from 'node:assert/strict';
import type { Engine, LeaseId } from '../../core/engine.js';
import { limits } from '../../core/limits.js';
import { systemClock } from '../../core/system-clock.js';
import {
  apply,
  describeChange,
  type EngineContext,
  entryOf,
  everything,
  keysOf,
  put,
  putEach,
  refused,
  testsOf,
  watchFromNow,
  Watching,
} from './context.js';

const ttlMs = limits.ttlMsMin;
/** A lease ends at most so long after its time. */
const lateMsMax = 1_000;

/** K10: leases, judged by the engine's monotonic clock. */
export const leaseTests = testsOf('K10', {
  'all keys of a lease vanish in one revision, as expire, when its time is up': async (context) => {
    const { engine } = context;
    const { id } = await engine.grant(ttlMs);
    await apply(engine, put('a', '1', { lease: id }), put('b', '2', { lease: id }), put('c'));
    await apply(engine, put('d', '', { lease: id }));
    const watching = await watchFromNow(context, [everything], { previous: true });
    timeUp(context);
    const changes = await watching.collect(3);
    assert.equal(new Set(changes.map(({ entry }) => entry.modRevision)).size, 1);
    assert.deepEqual(
      changes
        .map(({ kind, entry, previous }) => [kind, entry.key, entry.version, previous?.lease])
        .sort(),
      ['a', 'b', 'd'].map((key) => ['expire', key, 0, id]),
    );
    assert.deepEqual(await keysOf(engine), ['c']);
    await assertEnded(engine, id);
    await watching.leave();
  },

  'never before its TTL, counted from before the request': async (context) => {
    const { engine, clock } = context;
    const sentAt = systemClock.now();
    const { id } = await engine.grant(ttlMs);
    await apply(engine, put('k', '', { lease: id }));
    const watching = await watchFromNow(context, [everything]);
    clock?.advance(ttlMs - 1);
    if (clock !== undefined) assert.ok(await entryOf(engine, 'k'));
    clock?.advance(1 + lateMsMax);
    await watching.collect(1);
    if (clock === undefined) assert.ok(systemClock.now() - sentAt >= ttlMs);
    await watching.leave();
  },

  'a renewal gives the whole TTL again': async (context) => {
    const { engine, clock } = context;
    const { id } = await engine.grant(ttlMs);
    await apply(engine, put('k', '', { lease: id }));
    const watching = await watchFromNow(context, [everything]);
    let sentAt = 0;
    for (let n = 0; n < 5; n++) {
      clock?.advance(ttlMs - 10);
      sentAt = systemClock.now();
      const renewed = await engine.renew(id);
      assert.ok(renewed.id === id && renewed.ttlMs >= ttlMs);
    }
    clock?.advance(ttlMs - 1);
    if (clock !== undefined) assert.ok(await entryOf(engine, 'k'));
    clock?.advance(1 + lateMsMax);
    await watching.collect(1);
    if (clock === undefined) assert.ok(systemClock.now() - sentAt >= ttlMs);
    await watching.leave();
  },

  'a revoke ends it at once, its keys in one revision, as expire': async (context) => {
    const { engine } = context;
    const { id } = await engine.grant(60_000);
    await apply(engine, put('a', '', { lease: id }), put('b', '', { lease: id }), put('c'));
    const watching = await watchFromNow(context, [everything]);
    const { revision } = await engine.revoke(id);
    assert.deepEqual((await watching.collect(2)).map(describeChange).sort(), [
      `expire a@${revision}`,
      `expire b@${revision}`,
    ]);
    assert.deepEqual(await keysOf(engine), ['c']);
    await assertEnded(engine, id);
    await watching.leave();
  },

  'a release that deletes first shows delete, and the revoke after it nothing': async (context) => {
    const { engine } = context;
    const { id } = await engine.grant(60_000);
    await apply(engine, put('a', '', { lease: id }));
    const watching = await watchFromNow(context, [everything]);
    await apply(engine, { type: 'delete', key: 'a' });
    await engine.revoke(id);
    await putEach(engine, 'end');
    assert.deepEqual(
      (await watching.collect(2)).map(({ kind, entry }) => [kind, entry.key]),
      [
        ['delete', 'a'],
        ['put', 'end'],
      ],
    );
    await watching.leave();
  },

  'overwriting detaches: with no lease the key stays, with another it goes with that': async ({
    engine,
  }) => {
    const first = await engine.grant(60_000);
    const second = await engine.grant(60_000);
    await apply(engine, ...['a', 'b', 'c', 'd'].map((key) => put(key, '', { lease: first.id })));
    await apply(
      engine,
      put('a'),
      put('b', '', { lease: second.id }),
      put('c', '', { keepLease: true }),
    );
    await apply(engine, { type: 'delete', key: 'd' });
    await putEach(engine, 'd');
    assert.deepEqual((await engine.lease(first.id))?.keys, ['c']);
    assert.deepEqual((await engine.lease(second.id))?.keys, ['b']);
    await engine.revoke(first.id);
    assert.deepEqual(await keysOf(engine), ['a', 'b', 'd']);
    await engine.revoke(second.id);
    assert.deepEqual(await keysOf(engine), ['a', 'd']);
  },

  'a TTL that is not whole milliseconds from the least to the most is invalid': async ({
    engine,
  }) => {
    const wrong = [
      0,
      -1,
      1,
      1.5,
      1_000.5,
      Number.NaN,
      Infinity,
      1e12,
      limits.ttlMsMin - 1,
      limits.ttlMsMax + 1,
    ];
    for (const ttl of [...wrong, '1000' as unknown as number])
      await refused(engine.grant(ttl), 'invalid');
    assert.deepEqual(await engine.leases(), []);
    for (const ttl of [
      limits.ttlMsMin,
      limits.ttlMsMin + 1,
      limits.ttlMsMax - 1,
      limits.ttlMsMax,
    ]) {
      assert.ok((await engine.grant(ttl)).ttlMs >= ttl);
    }
  },

  'a lease of a year or of 30 days does not end at once': async ({ engine, clock }) => {
    const long = await engine.grant(limits.ttlMsMax);
    const month = await engine.grant(30 * 86_400_000);
    await apply(engine, put('k', '', { lease: long.id }), put('m', '', { lease: month.id }));
    clock?.advance(30 * 86_400_000 - 1);
    assert.deepEqual(await keysOf(engine), ['k', 'm']);
    const state = await engine.lease(long.id);
    assert.ok(state !== null && state.remainingMs > limits.ttlMsMax - 31 * 86_400_000);
  },

  'a lease tells its TTL, what is left of it, and its keys': async ({ engine, clock }) => {
    const { id } = await engine.grant(10_000);
    await apply(engine, put('b', '', { lease: id }), put('a', '', { lease: id }));
    clock?.advance(4_000);
    const state = await engine.lease(id);
    assert.ok(state !== null && state.id === id && state.ttlMs >= 10_000);
    assert.deepEqual(state.keys, ['a', 'b']);
    assert.ok(state.remainingMs > 0 && state.remainingMs <= state.ttlMs);
    if (clock !== undefined)
      assert.ok(state.remainingMs >= 6_000 && state.remainingMs <= state.ttlMs - 4_000);
    assert.equal(await engine.lease(4_711), null);
  },

  'a lease that has ended or never was is not_found to renew, revoke and attach': async ({
    engine,
  }) => {
    const { id } = await engine.grant(60_000);
    await engine.revoke(id);
    for (const gone of [id, 4_711]) {
      await refused(engine.renew(gone), 'not_found');
      await refused(engine.revoke(gone), 'not_found');
      const error = await refused(apply(engine, put('k', '', { lease: gone })), 'not_found');
      assert.equal(error.facts.lease, gone);
    }
    assert.deepEqual(await keysOf(engine), []);
  },

  'a lease without keys ends too': async (context) => {
    const { engine } = context;
    const quiet = await engine.grant(ttlMs);
    const marked = await engine.grant(ttlMs + 100);
    const { revision } = await apply(engine, put('mark', '', { lease: marked.id }));
    const watching = new Watching(context, [everything], { after: revision });
    timeUp(context);
    await watching.collect(1);
    await assertEnded(engine, quiet.id);
    assert.equal(watching.changes[0]?.kind, 'expire');
    await watching.leave();
  },

  'many leases that end together each take their own keys, each in one revision': async (
    context,
  ) => {
    const { engine } = context;
    const leases = await Promise.all(Array.from({ length: 200 }, () => engine.grant(ttlMs)));
    await Promise.all(
      leases.map(({ id }) =>
        apply(engine, put(`${id}/a`, '', { lease: id }), put(`${id}/b`, '', { lease: id })),
      ),
    );
    const { revision } = await engine.status();
    const watching = new Watching(context, [everything], { after: revision - 1 });
    timeUp(context);
    while (watching.changes.filter(({ kind }) => kind === 'expire').length < 400)
      await watching.pull();
    const revisions = new Map<string, Set<number>>();
    for (const { kind, entry } of watching.changes) {
      if (kind !== 'expire') continue;
      const lease = entry.key.split('/')[0] as string;
      revisions.set(lease, (revisions.get(lease) ?? new Set()).add(entry.modRevision));
    }
    assert.ok([...revisions.values()].every((own) => own.size === 1) && revisions.size === 200);
    assert.deepEqual(await keysOf(engine), []);
    assert.deepEqual(await engine.leases(), []);
    await watching.leave();
  },

  'steps of the wall clock end nothing and keep nothing': async (context) => {
    const { engine, clock } = context;
    const { id } = await engine.grant(ttlMs);
    await apply(engine, put('k', '', { lease: id }));
    const watching = await watchFromNow(context, [everything]);
    clock?.stepWall(3_600_000);
    assert.ok(await engine.renew(id));
    clock?.stepWall(-7_200_000);
    timeUp(context);
    await watching.collect(1);
    await assertEnded(engine, id);
    await watching.leave();
  },
});

/** Moves the clock to where every lease of the least TTL must have ended; in real time the test waits for the event. */
export function timeUp(context: EngineContext): void {
  context.clock?.advance(ttlMs + 100 + lateMsMax);
}

export async function assertEnded(engine: Engine, id: LeaseId): Promise<void> {
  assert.equal(await engine.lease(id), null);
  assert.ok(!(await engine.leases()).includes(id));
  await refused(engine.renew(id), 'not_found');
}
