import type { HostSpace } from '../../space/space.js';
import type { DueRun, Schedule, ScheduleState } from '../../space/once-types.js';
import type { Space } from '../../space/types.js';
import { eventually, failsWith, holds, same } from './expect.js';
import type { RecipeCase } from './suite.js';

const everyMs = 100;

interface Ran extends DueRun {
  readonly by: string;
}

function scheduled(by: Space, ran: Ran[]): Schedule {
  const job = (run: DueRun): void => void ran.push({ ...run, by: by.owner });
  return by.namespace('n').schedule('/report', { everyMs }, job);
}

export const scheduleCases: readonly RecipeCase[] = [
  {
    name: '[O5] one process runs each due time, and another takes over: none runs twice',
    async run({ a, b, another }) {
      const ran: Ran[] = [];
      const third = await another('third');
      const all = [a, b, third].map((space) => scheduled(space, ran));
      await eventually('three runs', () => ran.length >= 3);
      same(all.filter((one) => one.isLeader()).length, 1, 'one leads');
      same(new Set(ran.map(({ by }) => by)).size, 1, 'and it alone runs');
      const before = ran.length;
      const leader = all.find((one) => one.isLeader()) as Schedule;
      await leader.stop();
      holds(!leader.isLeader(), 'who stopped leads no longer');
      await eventually('the next takes over', () => ran.length >= before + 3);
      const times = ran.map(({ at }) => at);
      same(new Set(times).size, times.length, 'no due time twice');
      same(
        times,
        [...times].sort((x, y) => x - y),
        'in order',
      );
      holds(
        times.every((at) => at % everyMs === 0),
        'at multiples of the interval',
      );
      same(new Set(ran.map(({ term }) => term)).size, 2, 'two terms');
      holds((ran.at(-1)?.term ?? 0) > (ran[0]?.term ?? 0), 'which grow');
      await Promise.all(all.map((one) => one.stop()));
      const stopped = ran.length;
      const { host } = a as HostSpace;
      same((await host.read('n', { key: 'os', end: 'ot' })).entries, [], 'nobody stands any more');
      same(ran.length, stopped, 'and nothing runs');
    },
  },
  {
    name: '[O8] a job that throws is told, and the schedule goes on',
    async run({ a }) {
      const errors: unknown[] = [];
      const job = ({ at }: DueRun): never => {
        throw new RangeError(String(at));
      };
      const onError = (error: unknown, run: DueRun): void => {
        holds((error as Error).message === String(run.at), 'with the run it was');
        errors.push(error);
      };
      await using schedule = a.namespace('n').schedule('/r', { everyMs }, job, { onError });
      await eventually('two failures', () => errors.length >= 2);
      holds(errors.includes(schedule.lastError), 'the last one is kept');
      holds(schedule.isLeader(), 'and it goes on');
    },
  },
  {
    name: '[O9] a pattern, interval or path that cannot be is refused at once',
    async run({ a }) {
      const ns = a.namespace('n');
      const job = (): void => undefined;
      const bad = [
        { cron: '61 * * * *' },
        { cron: '* * * * * *' },
        { cron: '0 0 30 2 *' },
        { cron: 'x'.repeat(257) },
        { cron: '* * * * *', timeZone: 'Nowhere/None' },
        { everyMs: 99 },
        { everyMs: 100.5 },
        { everyMs: Number.NaN },
      ];
      for (const when of bad) await failsWith('invalid', () => ns.schedule('/r', when, job));
      await failsWith('invalid', () => ns.schedule('/a//b', { everyMs }, job));
      await failsWith('invalid', () => ns.schedule('/r', { everyMs }, job, { ttlMs: 1 }));
    },
  },
  {
    name: '[O10] schedules are listed with who leads, when the job ran last and when it is due next',
    async run({ a, b }) {
      const ns = a.namespace('n');
      const ran: DueRun[] = [];
      const often = ns.schedule('/r/often', { everyMs }, (run) => void ran.push(run));
      const daily = { cron: '0 3 * * *', timeZone: 'Europe/Berlin' };
      const rare = b.namespace('n').schedule('/r/rare', daily, () => undefined, { owner: 'me' });
      await eventually('both lead, and one ran', () => rare.isLeader() && ran.length >= 2);
      holds((ran[0]?.remainingMs() ?? 0) > 0, 'its term stands');
      const list = async (): Promise<readonly ScheduleState[]> =>
        (await b.namespace('n').schedules('/r')).entries;
      const [first, second] = (await list()) as [ScheduleState, ScheduleState];
      same(
        [first.path, first.leader?.owner, first.when],
        ['/r/often', a.owner, { everyMs }],
        'one',
      );
      same(first.leader?.term, ran[0]?.term, 'its term');
      const [last, next] = [first.last ?? 0, first.next ?? 0];
      holds(last % everyMs === 0 && next % everyMs === 0, 'due times');
      holds(last >= (ran[1]?.at ?? 0) && next > last, 'the last run, and the next');
      same([second.path, second.leader?.owner, second.when], ['/r/rare', 'me', daily], 'the other');
      same(second.last, null, 'it has not run yet');
      holds((second.next ?? 0) > next, 'and will');
      await Promise.all([often.stop(), rare.stop()]);
      const [stopped] = (await list()) as [ScheduleState];
      same([stopped.leader, stopped.when, stopped.next], [null, null, null], 'nobody leads');
      same(stopped.last, ran.at(-1)?.at, 'the last run is known');
      same((await b.namespace('n').schedules('/other')).entries, [], 'below the path');
    },
  },
];
