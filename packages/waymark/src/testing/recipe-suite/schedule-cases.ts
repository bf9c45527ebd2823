import type { HostSpace } from '../../space/space.js';
import type { DueRun, Schedule } from '../../space/once-types.js';
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
];
