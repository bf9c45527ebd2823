import { expect, test } from 'vitest';
import type { CallOptions, CommitOptions, Lease, LeaseId, Outcome, Txn } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import { systemClock, systemRandom as random } from '../core/system-clock.js';
import { createMemoryEngine } from '../engines/memory/memory-engine.js';
import { join, leave, update } from '../recipes/members.js';
import { FakeClock } from '../testing/fake-clock.js';
import { ForwardingEngine } from '../wrap/forward.js';
import { createLocalHost } from './local-host.js';
import type { MembersChange, Membership } from './member-types.js';
import { createSpace } from './space.js';
import type { Space } from './types.js';

const nextTurn = (): Promise<void> => new Promise((resolve) => systemClock.nextTurn(resolve));

async function until(fact: () => boolean): Promise<void> {
  for (let turn = 0; turn < 10_000 && !fact(); turn++) await nextTurn();
  expect(fact()).toBe(true);
}

/** Once it is cut, renewals get no answer. */
class CutOff extends ForwardingEngine {
  cut = false;

  override async renew(id: LeaseId, options?: CallOptions): Promise<Lease> {
    if (this.cut) throw new WaymarkError('unavailable', 'cut off');
    return await super.renew(id, options);
  }
}

const group = '/g';
const request = (id: string, lease: LeaseId, member = id) => ({
  id,
  group,
  member,
  lease,
  owner: id,
  address: undefined,
  meta: undefined,
});

/** A resignation takes as long as it is told to. */
class SlowToResign extends ForwardingEngine {
  resigns: (() => void) | null = null;
  #resign = (): void => undefined;
  readonly #told = new Promise<void>((resolve) => (this.#resign = resolve));

  override async commit(txn: Txn, options?: CommitOptions): Promise<Outcome> {
    const resigning = txn.apply?.some(
      (one) => one.type === 'delete' && one.key.startsWith('n/n/glh/'),
    );
    if (resigning === true) {
      this.resigns?.();
      await this.#told;
    }
    return await super.commit(txn, options);
  }

  resign(): void {
    this.#resign();
  }
}

test.each([
  ['leaves', (me: Membership) => me.release()],
  ['closes its space', (_: Membership, space: Space) => space.close()],
] as const)(
  '[M7] who leads and %s stays a member until its resignation is through, however long that takes',
  async (_, leave) => {
    const memory = createMemoryEngine();
    await using engine = new SlowToResign(memory);
    const parts = { clock: systemClock, random, owner: 'a' };
    await using space = createSpace(createLocalHost(engine), parts);
    await using other = createSpace(createLocalHost(memory), parts);
    const members = other.namespace('n').members(group);
    const me = await space.namespace('n').members(group).join({ id: 'w1', lead: true });
    await me.elected();
    const resigning = new Promise<void>((resolve) => (engine.resigns = resolve));
    const left = leave(me, space);
    await resigning;
    for (let turn = 0; turn < 20; turn++) await nextTurn();
    const view = await members.list();
    expect([view.leader?.id, view.members.map(({ id }) => id)]).toEqual(['w1', ['w1']]);
    engine.resign();
    await left;
    expect(await members.list()).toMatchObject({ leader: null, members: [] });
  },
);

/** The mark of who leads is there before its candidate hears of it. */
class SlowToElect extends ForwardingEngine {
  elects: (() => void) | null = null;
  #answer = (): void => undefined;
  readonly #told = new Promise<void>((resolve) => (this.#answer = resolve));

  override async commit(txn: Txn, options?: CommitOptions): Promise<Outcome> {
    const outcome = await super.commit(txn, options);
    if (txn.apply?.some((one) => one.type === 'put' && one.key.startsWith('n/n/glh/')) === true) {
      this.elects?.();
      await this.#told;
    }
    return outcome;
  }

  answer(): void {
    this.#answer();
  }
}

test('[M7] a space that closes while it is being elected resigns before it leaves: no view shows a leader that is no member', async () => {
  const memory = createMemoryEngine();
  await using engine = new SlowToElect(memory);
  const parts = { clock: systemClock, random, owner: 'a' };
  const space = createSpace(createLocalHost(engine), parts);
  await using other = createSpace(createLocalHost(memory), parts);
  const members = other.namespace('n').members(group);
  const electing = new Promise<void>((resolve) => (engine.elects = resolve));
  await space.namespace('n').members(group).join({ id: 'w1', lead: true });
  await electing;
  const closing = space.close();
  for (let turn = 0; turn < 20; turn++) await nextTurn();
  const view = await members.list();
  expect([view.leader?.id, view.members.map(({ id }) => id)]).toEqual(['w1', ['w1']]);
  engine.answer();
  await closing;
  expect(await members.list()).toMatchObject({ leader: null, members: [] });
});

test('[M3] a process that falls silent has failed when its lease ends, in the revision of that; its own signal came first', async () => {
  const clock = new FakeClock();
  await using engine = createMemoryEngine({ clock });
  const way = new CutOff(engine);
  const host = createLocalHost(way, { clock });
  await using space = createSpace(host, { clock, random, owner: 'silent' });
  await using other = createSpace(createLocalHost(engine, { clock }), {
    clock,
    random,
    owner: 'b',
  });
  const seen: MembersChange[] = [];
  const watching = (async () => {
    for await (const change of other.namespace('n').members(group).watch()) seen.push(change);
  })().catch(() => undefined);
  const me = await space.namespace('n').members(group).join({ id: 'w1', ttlMs: 3_000 });
  await until(() => seen.length === 2);
  for (let passed = 0; passed < 30_000; passed += 500) {
    clock.advance(500);
    await nextTurn();
  }
  expect(me.isHeld()).toBe(true);
  way.cut = true;
  for (let passed = 0; me.isHeld(); passed += 100) {
    clock.advance(100);
    await nextTurn();
    expect(passed).toBeLessThan(4_000);
  }
  expect(seen).toHaveLength(2);
  expect((await me.closed)?.code).toBe('lost');
  for (let passed = 0; passed < 3_000; passed += 100) clock.advance(100);
  await until(() => seen.length === 3);
  const { failed, left, members, epoch } = seen[2] as MembersChange;
  expect([failed.map(({ id }) => id), left, members]).toEqual([['w1'], [], []]);
  expect(epoch).toBe((await engine.status()).revision);
  await other.close();
  await watching;
});

test('[M3] a watch that was overtaken by compaction tells the present, and who went meanwhile as missed', async () => {
  await using engine = createMemoryEngine();
  await using host = createLocalHost(engine);
  await using space = createSpace(host, { clock: systemClock, random, owner: 'a' });
  const members = space.namespace('n').members(group);
  const [gone, , back] = [
    await members.join({ id: 'gone' }),
    await members.join({ id: 'stays' }),
    await members.join({ id: 'back' }),
  ];
  const watch = members.watch();
  await watch.next();
  await gone.release();
  await back.release();
  const again = await members.join({ id: 'back' });
  await members.join({ id: 'new' });
  const { revision } = await engine.status();
  await engine.compact(revision);
  const { value } = (await watch.next()) as { value: MembersChange };
  const ids = (some: readonly { readonly id: string }[]): string[] => some.map(({ id }) => id);
  expect(ids(value.members)).toEqual(['back', 'new', 'stays']);
  expect(ids(value.joined)).toEqual(['back', 'new']);
  expect(value.missed.map(({ id, incarnation }) => [id, incarnation])).toEqual([
    ['back', back.token],
    ['gone', gone.token],
  ]);
  expect(value.members[0]?.incarnation).toBe(again.token);
  expect([value.left, value.failed, value.updated, value.epoch]).toEqual([[], [], [], revision]);
  await watch.return?.();
});

test('[M2] a join that is repeated after a lost answer has one incarnation; under another lease it is refused', async () => {
  await using host = createLocalHost(createMemoryEngine());
  const { id: lease } = await host.grant(60_000);
  const { id: other } = await host.grant(60_000);
  const first = await host.run(join, 'n', request('one', lease));
  await host.commit('n', { apply: [{ type: 'put', key: 'd/x', value: '' }] });
  expect(await host.run(join, 'n', request('one', lease))).toBe(first);
  const conflict = expect.objectContaining({ code: 'conflict' });
  await expect(host.run(join, 'n', request('one', other))).rejects.toEqual(conflict);
  await expect(host.run(join, 'n', request('two', lease, 'one'))).rejects.toEqual(conflict);
});

test('[M2] who is named by another incarnation or request is not thrown out, nor changed', async () => {
  await using host = createLocalHost(createMemoryEngine());
  const { id: lease } = await host.grant(60_000);
  const incarnation = await host.run(join, 'n', request('one', lease));
  const of = { group, member: 'one' };
  const told = { address: 'x', meta: undefined };
  const args = { ...of, incarnation: incarnation - 1 };
  expect(await host.run(leave, 'n', { ...args, id: undefined })).toBe(false);
  expect(await host.run(leave, 'n', { ...of, incarnation: undefined, id: 'two' })).toBe(false);
  expect(await host.run(leave, 'n', { ...of, incarnation: undefined, id: undefined })).toBe(false);
  const lost = expect.objectContaining({ code: 'lost' });
  await expect(host.run(update, 'n', { ...args, ...told })).rejects.toEqual(lost);
  expect(await host.run(update, 'n', { ...of, incarnation, ...told })).toBeGreaterThan(incarnation);
  expect(await host.run(leave, 'n', { ...of, incarnation: undefined, id: 'one' })).toBe(true);
});
