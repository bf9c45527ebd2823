import { expect, test } from 'vitest';
import type { Host } from '../core/host.js';
import type { Engine } from '../core/engine.js';
import { systemClock, systemRandom as random } from '../core/system-clock.js';
import { createMemoryEngine } from '../engines/memory/memory-engine.js';
import { campaign, scheduleElection } from '../recipes/election.js';
import { claim, settle, unclaim } from '../recipes/once.js';
import { settleDue } from '../recipes/schedule.js';
import { FakeClock } from '../testing/fake-clock.js';
import { dueTimes } from './due-times.js';
import { createLocalHost } from './local-host.js';
import type { DueRun, Schedule, ScheduleCall, When } from './once-types.js';
import { createSpace } from './space.js';

const minute = 60_000;
const start = Date.UTC(2026, 0, 1, 11, 59, 30);

class World implements AsyncDisposable {
  readonly clock = new FakeClock(1_000.5, start);
  readonly engine: Engine = createMemoryEngine({ clock: this.clock });
  readonly host: Host = createLocalHost(this.engine, { clock: this.clock });
  readonly ran: string[] = [];
  readonly #spaces: AsyncDisposable[] = [];

  /** A process with its part in the schedule; `job` sees its runs. */
  process(
    owner: string,
    when: When,
    call: ScheduleCall = {},
    job?: (run: DueRun) => unknown,
  ): Schedule {
    const { clock } = this;
    const host = createLocalHost(this.engine, { clock });
    const space = createSpace(host, { clock, random, owner });
    this.#spaces.push(space);
    const note = (run: DueRun): unknown => {
      this.ran.push(`${owner} ${new Date(run.at).toISOString().slice(11, 19)}`);
      return job?.(run);
    };
    return space.namespace('n').schedule('/report', when, note, call);
  }

  /** Moves the clock in small steps, so that what a timer starts is done before the next. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 1_000) {
      this.clock.advance(Math.min(left, 1_000));
      for (let turn = 0; turn < 5; turn++) await nextTurn();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const space of this.#spaces) await space[Symbol.asyncDispose]();
    await this.engine[Symbol.asyncDispose]();
  }
}

const nextTurn = (): Promise<void> => new Promise((resolve) => systemClock.nextTurn(resolve));

async function untilLeads(schedule: Schedule): Promise<void> {
  for (let turn = 0; turn < 1_000 && !schedule.isLeader(); turn++) await nextTurn();
  expect(schedule.isLeader()).toBe(true);
  // It has read where the one before it came to, and waits.
  for (let turn = 0; turn < 10; turn++) await nextTurn();
}

test('[O5] the leader runs what is due, by the wall clock, and the next one goes on after it', async () => {
  await using world = new World();
  const first = world.process('a', { cron: '* * * * *' });
  await untilLeads(first);
  const second = world.process('b', { cron: '* * * * *' });
  await world.pass(2 * minute);
  expect(world.ran).toEqual(['a 12:00:00', 'a 12:01:00']);
  await first.stop();
  await untilLeads(second);
  await world.pass(minute);
  expect(world.ran.slice(2)).toEqual(['b 12:02:00']);
});

test.each([
  ['run', ['a 12:00:00', 'b 12:05:00', 'b 12:06:00']],
  ['skip', ['a 12:00:00', 'b 12:06:00']],
] as const)('[O7] due times that passed while nobody led: %s', async (missed, expected) => {
  await using world = new World();
  const first = world.process('a', { everyMs: minute }, { missed });
  await untilLeads(first);
  await world.pass(minute);
  await first.stop();
  await world.pass(5 * minute);
  const second = world.process('b', { everyMs: minute }, { missed });
  await untilLeads(second);
  await world.pass(minute);
  expect(world.ran).toEqual(expected);
});

test.each([
  ['run', ['a 12:00:00', 'a 12:02:00', 'a 12:03:00']],
  ['skip', ['a 12:00:00', 'a 12:03:00']],
] as const)(
  '[O8] runs never overlap; due times that passed while the job ran: %s',
  async (missed, expected) => {
    await using world = new World();
    let finish = (): void => undefined;
    let running = 0;
    const job = async (): Promise<void> => {
      expect(++running).toBe(1);
      if (world.ran.length === 1) await new Promise<void>((resolve) => (finish = resolve));
      running--;
    };
    const schedule = world.process('a', { everyMs: minute }, { missed }, job);
    await untilLeads(schedule);
    await world.pass(3 * minute + 10_000);
    expect(world.ran).toEqual(['a 12:00:00']);
    finish();
    await world.pass(minute);
    expect(world.ran).toEqual(expected);
  },
);

test('[O6] a due time is settled before its job: a process that dies in the middle is not repeated', async () => {
  await using world = new World();
  let told: AbortSignal | undefined;
  const hangs = ({ signal }: DueRun): Promise<void> => {
    told = signal;
    return new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
  };
  const first = world.process('a', { everyMs: minute }, {}, hangs);
  await untilLeads(first);
  await world.pass(minute - 20_000);
  expect(world.ran).toEqual(['a 12:00:00']);
  const second = world.process('b', { everyMs: minute });
  for (let turn = 0; turn < 50; turn++) await nextTurn();
  const { entries } = await world.engine.read({ key: 'n/n/osh', end: 'n/n/osi' });
  await world.engine.revoke(entries[0]?.lease ?? 0);
  await untilLeads(second);
  expect(world.ran).toEqual(['a 12:00:00']);
  await world.pass(20_000);
  expect(told?.aborted).toBe(true);
  await world.pass(30_000);
  expect(world.ran).toEqual(['a 12:00:00', 'b 12:01:00']);
});

test('[O6] who leads no longer settles nothing, and nobody settles backwards; repeating is safe', async () => {
  await using world = new World();
  const { host } = world;
  const lease = (await host.grant(60_000)).id;
  const path = '/report';
  const stand = async (id: string): Promise<number> => {
    const args = { id, path, lease, owner: id, session: id, says: undefined, waitMs: 0 };
    return (await host.run(scheduleElection.campaign, 'n', args)) ?? 0;
  };
  const one = { id: 'one', path, term: await stand('one'), run: true };
  const settled = await host.run(settleDue, 'n', { ...one, at: 5 });
  expect(await host.run(settleDue, 'n', { ...one, at: 5 })).toBe(settled);
  const refused = (code: string): object => expect.objectContaining({ code });
  await expect(host.run(settleDue, 'n', { ...one, at: 4 })).rejects.toEqual(refused('conflict'));
  await host.run(scheduleElection.resign, 'n', { id: 'one', path });
  await expect(host.run(settleDue, 'n', { ...one, at: 6 })).rejects.toEqual(refused('lost'));
  const two = { id: 'two', path, term: await stand('two'), run: true };
  await expect(host.run(settleDue, 'n', { ...two, at: 5 })).rejects.toEqual(refused('conflict'));
  expect(await host.run(settleDue, 'n', { ...two, at: 6 })).toBeGreaterThan(settled);
  await using space = createSpace(createLocalHost(world.engine, world), {
    clock: world.clock,
    random,
    owner: 'o',
  });
  const ran = async (): Promise<unknown> => (await space.namespace('n').schedules('/')).entries;
  expect(await ran()).toEqual([expect.objectContaining({ path, last: 6 })]);
  await host.run(settleDue, 'n', { ...two, at: 7, run: false });
  expect(await ran(), 'what is settled and not run').toEqual([
    expect.objectContaining({ last: 6 }),
  ]);
  // An election of the same path is another one.
  const args = { id: 'e', path, lease, owner: 'e', session: 'e', says: undefined, waitMs: 0 };
  expect(await host.run(campaign, 'n', args)).toBeGreaterThan(0);
});

test('[O2] a claim that is given back, or another’s, records nothing; repeating is safe', async () => {
  await using world = new World();
  const { host } = world;
  const lease = (await host.grant(60_000)).id;
  const of = { id: 'one', path: '/job' };
  const args = { lease, owner: 'o', session: 'one', waitMs: 0 };
  const { token } = await host.run(claim, 'n', { ...of, ...args });
  await host.run(unclaim, 'n', of);
  const lost = expect.objectContaining({ code: 'lost' });
  const late = { ...of, token: token ?? 0, record: '{}' };
  await expect(host.run(settle, 'n', late)).rejects.toEqual(lost);
  const next = await host.run(claim, 'n', { ...of, ...args, id: 'two' });
  const own = { ...of, id: 'two', token: next.token ?? 0, record: '{"by":"two"}' };
  await expect(host.run(settle, 'n', { ...own, token: own.token - 1 })).rejects.toEqual(lost);
  const settled = await host.run(settle, 'n', own);
  expect(await host.run(settle, 'n', own)).toBe(settled);
  expect(await host.run(claim, 'n', { ...of, ...args })).toEqual({
    token: null,
    record: own.record,
  });
});

test('[O6] a wall clock that steps back runs nothing twice, and one that jumps ahead runs the newest once', async () => {
  await using world = new World();
  const schedule = world.process('a', { everyMs: minute });
  await untilLeads(schedule);
  await world.pass(minute);
  world.clock.stepWall(-3 * minute);
  await world.pass(3 * minute);
  expect(world.ran).toEqual(['a 12:00:00']);
  await world.pass(minute);
  expect(world.ran).toEqual(['a 12:00:00', 'a 12:01:00']);
  world.clock.stepWall(60 * minute - 10_000);
  await world.pass(minute / 2);
  expect(world.ran).toEqual(['a 12:00:00', 'a 12:01:00', 'a 13:01:00']);
});

test('[O7] cron is of the zone it names, UTC unless told', () => {
  const from = Date.UTC(2026, 6, 1);
  const at = (when: When): string => new Date(dueTimes(when).next(from)).toISOString();
  expect(at({ cron: '30 9 * * *' })).toBe('2026-07-01T09:30:00.000Z');
  expect(at({ cron: '30 9 * * *', timeZone: 'Europe/Berlin' })).toBe('2026-07-01T07:30:00.000Z');
  const nine = Date.UTC(2026, 6, 1, 9, 30);
  const times = dueTimes({ cron: '30 9 * * *' });
  expect(times.newest(from, nine - 1)).toBeNull();
  expect(times.newest(from, nine)).toBe(nine);
  expect(times.newest(from, nine + 1)).toBe(nine);
  expect(times.newest(nine, nine + 5 * minute)).toBeNull();
  expect(times.newest(from, nine + 49 * 60 * minute)).toBe(nine + 48 * 60 * minute);
});
