import type { HostSpace } from '../../space/space.js';
import type { OnceExplanation } from '../../space/once-types.js';
import type { ListCall, Namespace, Space } from '../../space/types.js';
import { eventually, failsWith, holds, same, soon } from './expect.js';
import type { RecipeCase } from './suite.js';

/** Resolves from outside. */
function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

const once = (by: Space, job: () => Promise<unknown>) => by.namespace('n').once('/job', job);

/** As a process that fell silent: the engine ends every lease there is. */
async function endLeases(of: Space, key: string): Promise<void> {
  const { host } = of as HostSpace;
  const { entries } = await host.read('n', { key, end: `${key}\x7f` });
  for (const { lease } of entries) await host.revoke(lease);
}

const claimsAt = async (of: Space): Promise<number> => {
  const { host } = of as HostSpace;
  const query = { key: 'oc', end: 'od', countOnly: true };
  return (await host.read('n', query)).count;
};

export const onceCases: readonly RecipeCase[] = [
  {
    name: '[O1] of many callers one runs the job, and all get what it came to',
    async run({ a, another }) {
      let runs = 0;
      const { opened, open } = gate();
      const job = async (): Promise<object> => {
        runs++;
        await opened;
        return { made: runs, at: undefined };
      };
      const first = once(a, job);
      await eventually('it runs', () => runs === 1);
      const clients = await Promise.all([1, 2, 3].map((i) => another(`caller-${i}`)));
      const others = [a, ...clients, ...clients].map((client) => once(client, job));
      await eventually('all others wait', async () => (await claimsAt(a)) >= 8);
      open();
      const results = await soon('all results', Promise.all([first, ...others]));
      same(results, Array(8).fill({ made: 1 }), 'the same, as JSON has it, to who ran it as well');
      same(await once(a, job), { made: 1 }, 'later callers, too');
      same(runs, 1, 'one run');
      await eventually('no claim stays', async () => (await claimsAt(a)) === 0);
    },
  },
  {
    name: '[O1] jobs of other keys and keys of data are apart, and a forgotten job runs again',
    async run({ a, b }) {
      const ns: Namespace = a.namespace('n');
      await ns.put('/job', 'data');
      same(await ns.once('/job', () => 1), 1, 'runs');
      same(await ns.once('/job/below', () => 2), 2, 'another');
      same(await b.namespace('n').once('/job', () => 3), 1, 'not again');
      same(await ns.once('/nothing', () => undefined), undefined, 'undefined is a result');
      same(await b.namespace('n').once('/nothing', () => 4), undefined, 'and stays one');
      holds(await ns.forgetOnce('/job'), 'forgotten');
      holds(!(await ns.forgetOnce('/job')), 'there was nothing more');
      same(await b.namespace('n').once('/job', () => 3), 3, 'again');
      same((await ns.get('/job'))?.value, 'data', 'the data is untouched');
    },
  },
  {
    name: '[O2] a claim goes with its lease: the next in line runs the job, and the first records nothing',
    async run({ a, b }) {
      const { opened, open } = gate();
      let lost = false;
      let tokens: number[] = [];
      const first = a.namespace('n').once('/job', async ({ signal, token }) => {
        tokens.push(token);
        signal.addEventListener('abort', () => (lost = true));
        await opened;
        return 'first';
      });
      await eventually('it runs', async () => (await claimsAt(a)) === 1);
      const second = b.namespace('n').once('/job', ({ token }) => {
        tokens.push(token);
        return 'second';
      });
      await eventually('the second waits', async () => (await claimsAt(a)) === 2);
      await endLeases(b, 'och/job');
      same(await soon('the second run', second), 'second', 'the next runs it');
      await eventually('the first is told', () => lost);
      open();
      await failsWith('lost', () => first);
      same(await once(a, async () => 'third'), 'second', 'what was recorded stays');
      holds((tokens[1] ?? 0) > (tokens[0] ?? 0), 'tokens grow');
    },
  },
  {
    name: '[O3] a job that throws is run by the next caller; or by nobody, when that is asked for',
    async run({ a, b }) {
      const broken = (): never => {
        throw new RangeError('no table');
      };
      const ns = a.namespace('n');
      const thrown = await ns.once('/job', broken).catch((error: unknown) => error);
      holds(thrown instanceof RangeError, 'who ran it gets the error itself');
      same(await b.namespace('n').once('/job', () => 1), 1, 'the next runs it');
      const kept = await ns.once('/bad', broken, { whenFailed: 'record' }).catch((e: unknown) => e);
      holds(kept instanceof RangeError, 'here as well');
      const refusal = await failsWith('failed', () => b.namespace('n').once('/bad', () => 1));
      holds(refusal.message.includes('no table'), 'the message is kept');
      await ns.forgetOnce('/bad');
      same(await b.namespace('n').once('/bad', () => 1), 1, 'until it is forgotten');
      await failsWith('invalid', () => ns.once('/fn', () => () => 1));
      same(await b.namespace('n').once('/fn', () => 1), 1, 'no JSON is a failure');
      same(await claimsAt(a), 0, 'no claim stays');
    },
  },
  {
    name: '[O4] who waits ends with its signal or its waitMs, and leaves no place',
    async run({ a, b }) {
      const { opened, open } = gate();
      const first = once(a, async () => await opened);
      await eventually('it runs', async () => (await claimsAt(a)) === 1);
      const ns = b.namespace('n');
      await failsWith('timeout', () => ns.once('/job', () => 1, { waitMs: 0 }));
      await failsWith('timeout', () => ns.once('/job', () => 1, { waitMs: 20 }));
      const ended = new AbortController();
      const waiting = ns.once('/job', () => 1, { signal: ended.signal }).catch((e: unknown) => e);
      await eventually('it waits', async () => (await claimsAt(a)) === 2);
      const why = new Error('enough');
      ended.abort(why);
      same(await waiting, why, 'the reason of the signal');
      await eventually('its place is gone', async () => (await claimsAt(a)) === 1);
      await failsWith('invalid', () => ns.once('/job', () => 1, { ttlMs: 1 }));
      await failsWith('invalid', () => ns.once('/a//b', () => 1));
      open();
      same(await first, undefined, 'the first goes on');
    },
  },
  {
    name: '[O10] a job can be looked at without running it: open, running, done, failed, and who waits',
    async run({ a, b }) {
      const ns = a.namespace('n');
      const look = (): Promise<OnceExplanation> => b.namespace('n').explainOnce('/job');
      const before = await look();
      same([before.state, before.owner, before.since], ['open', null, null], 'nobody ran it');
      const { opened, open } = gate();
      let token = 0;
      const first = ns.once('/job', async (run) => {
        ({ token } = run);
        holds(run.remainingMs() > 0 && run.remainingMs() <= 10_000, 'it may run so long');
        await opened;
        return { made: 1 };
      });
      await eventually('it runs', async () => (await claimsAt(a)) === 1 && token > 0);
      const second = b.namespace('n').once('/job', () => 2);
      await eventually('the second waits', async () => (await look()).waiters.length === 1);
      const running = await look();
      same([running.state, running.owner, running.since], ['running', a.owner, token], 'who');
      same(running.waiters[0]?.owner, b.owner, 'who waits');
      holds(running.summary.includes(`${a.owner} runs the job of /job`), running.summary);
      open();
      await Promise.all([first, second]);
      const done = await look();
      same([done.state, done.owner, done.value], ['done', a.owner, { made: 1 }], 'what it came to');
      holds((done.since ?? 0) > token && done.waiters.length === 0, 'since when');
      const broken = (): never => {
        throw new Error('no table');
      };
      await ns.once('/bad', broken, { whenFailed: 'record', owner: 'me' }).catch(() => undefined);
      const { state, failed, owner } = await b.namespace('n').explainOnce('/bad');
      same([state, failed, owner], ['failed', 'no table', 'me'], 'what it threw');
      await failsWith('invalid', () => ns.explainOnce('/a//b'));
    },
  },
  {
    name: '[O10] jobs are listed at and below a path, in order, a page at a time',
    async run({ a, b }) {
      const ns = a.namespace('n');
      const { opened, open } = gate();
      const running = ns.once('/m/2', async () => await opened);
      await eventually('it runs', async () => (await claimsAt(a)) === 1);
      for (const path of ['/m', '/m/1', '/m/3/x', '/m-other']) await ns.once(path, () => path);
      const there = b.namespace('n');
      const list = async (call?: ListCall): Promise<readonly (readonly string[])[]> =>
        (await there.onceStates('/m', call)).entries.map(({ path, state }) => [path, state]);
      const all = [
        ['/m', 'done'],
        ['/m/1', 'done'],
        ['/m/2', 'running'],
        ['/m/3/x', 'done'],
      ];
      same(await list(), all, 'all of them');
      const page = await there.onceStates('/m', { limit: 3 });
      same([page.entries.length, page.more], [3, true], 'a page');
      same(await list({ after: '/m/2' }), all.slice(3), 'the next one');
      same(await list({ limit: 1, after: '/m' }), [all[1]], 'after the path itself');
      same(await list({ at: page.revision, limit: 4 }), all, 'of that revision');
      same((await there.onceStates('/')).entries.length, 5, 'from the root');
      same((await a.namespace('other').onceStates('/')).entries, [], 'of one namespace');
      await failsWith('invalid', () => there.onceStates('/', { limit: 0 }));
      open();
      await running;
      same((await list())[2], ['/m/2', 'done'], 'then it is done');
    },
  },
];
