import type { Leader } from '../../space/election-types.js';
import { eventually, failsWith, holds, same, soon } from './expect.js';
import type { RecipeCase } from './suite.js';

export const electionCases: readonly RecipeCase[] = [
  {
    name: '[E1] one leads, the others follow in the order in which they came; terms grow',
    async run({ a, another }) {
      const first = await a.namespace('n').election('/chief').campaign();
      const order: number[] = [];
      const terms = [first.token];
      const waiting: Promise<void>[] = [];
      for (let i = 0; i < 4; i++) {
        const election = (await another(`candidate-${i}`)).namespace('n').election('/chief');
        const served = election.campaign().then(async (term) => {
          order.push(i);
          terms.push(term.token);
          holds(election.isLeader(), 'who was elected leads');
          await term.release();
          holds(!election.isLeader(), 'who resigned does not');
        });
        waiting.push(served);
        await eventually(
          `${i + 1} wait`,
          async () => (await election.explain()).waiters.length === i + 1,
        );
      }
      await first.release();
      await soon('all terms', Promise.all(waiting));
      same(order, [0, 1, 2, 3], 'in order');
      same(
        terms,
        [...terms].sort((x, y) => x - y),
        'terms grow',
      );
    },
  },
  {
    name: '[E2] tryCampaign answers null while another leads, and leaves no candidate behind',
    async run({ a, b }) {
      const term = await a.namespace('n').election('/chief').campaign();
      const other = b.namespace('n').election('/chief');
      same(await other.tryCampaign(), null, 'a leads');
      same((await other.explain()).waiters, [], 'nobody waits');
      await term.release();
      const next = await other.tryCampaign();
      holds(next !== null && next.token > term.token, 'free again, with a greater term');
    },
  },
  {
    name: '[E3] leader() and observe tell who leads, what it proclaims, and when nobody does',
    async run({ a, b }) {
      const election = a.namespace<string>('n').election('/chief');
      const watching = b.namespace<string>('n').election('/chief');
      same(await watching.leader(), null, 'nobody yet');
      const seen: (string | null)[] = [];
      const ended = new AbortController();
      const told = (leader: Leader<string> | null): string | null =>
        leader === null ? null : `${leader.owner}:${leader.value}`;
      const observing = (async () => {
        for await (const leader of watching.observe({ signal: ended.signal })) {
          seen.push(told(leader));
        }
      })().catch(() => undefined);
      await eventually('the start', () => seen.length === 1);
      const term = await election.campaign({ value: 'one' });
      await term.proclaim('two');
      same(told(await watching.leader()), 'a:two', 'the newest proclamation');
      await term.release();
      await eventually('the end', () => seen.length === 4);
      same(seen, [null, 'a:one', 'a:two', null], 'every change, once, in order');
      ended.abort();
      await observing;
    },
  },
  {
    name: '[E4] a deposed leader proclaims nothing: its term is checked in the same commit',
    async run({ a, b }) {
      const term = await a.namespace<string>('n').election('/chief').campaign({ ttlMs: 1_000 });
      await term.release();
      const next = await b.namespace<string>('n').election('/chief').campaign({ value: 'mine' });
      await failsWith('lost', () => term.proclaim('still me'));
      const leader = await a.namespace<string>('n').election('/chief').leader();
      same([leader?.owner, leader?.value, leader?.term], ['b', 'mine', next.token], 'untouched');
    },
  },
  {
    name: '[E5] an election, a lock and a key of one path have nothing to do with each other',
    async run({ a, b }) {
      const ns = a.namespace('n');
      const lock = await ns.lock('/chief', { tree: true });
      const term = await b.namespace('n').election('/chief').tryCampaign();
      holds(term !== null, 'led, though another locks the path');
      await ns.put('/chief', 1);
      same(await ns.tryLock('/chief'), null, 'locked still');
      await lock.release();
      holds(term.isHeld(), 'and led still');
      same((await ns.tree('/')).entries.length, 1, 'no election among the keys');
    },
  },
  {
    name: '[E10] explain tells who leads, in which term, and who stands',
    async run({ a, b }) {
      const chief = a.namespace('n').election('/chief');
      same((await chief.explain()).summary, 'nobody leads /chief', 'none');
      const term = await chief.campaign({ owner: 'api-1' });
      const next = b.namespace('n').election('/chief').campaign({ owner: 'api-2' });
      await eventually('one stands', async () => (await chief.explain()).waiters.length === 1);
      const told = await chief.explain();
      same(told.summary, `api-1 leads /chief in term ${term.token}; 1 stands`, 'in its words');
      same([told.holders[0]?.token, told.waiters[0]?.owner], [term.token, 'api-2'], 'and facts');
      await term.release();
      await (await next).release();
    },
  },
  {
    name: '[E6] a candidate that aborts, or runs out of time, stands no longer',
    async run({ a, b }) {
      const term = await a.namespace('n').election('/chief').campaign();
      const other = b.namespace('n').election('/chief');
      await failsWith('timeout', () => other.campaign({ waitMs: 20 }));
      const aborted = new AbortController();
      const waiting = other.campaign({ signal: aborted.signal });
      await eventually('it stands', async () => (await other.explain()).waiters.length === 1);
      aborted.abort(new Error('enough'));
      const refusal = await waiting.then(
        () => 'elected',
        (error: unknown) => String(error),
      );
      same(refusal, 'Error: enough', 'the reason of the signal');
      await eventually('nobody stands', async () => (await other.explain()).waiters.length === 0);
      await term.release();
    },
  },
  {
    name: '[E7] a leader whose space closes resigns at once',
    async run({ b, another }) {
      const leaving = await another('leaving');
      const term = await leaving.namespace('n').election('/chief').campaign({ ttlMs: 60_000 });
      const next = b.namespace('n').election('/chief').campaign();
      await leaving.close();
      const elected = await soon('the next term', next);
      holds(elected.token > term.token, 'with a greater term');
      holds(!term.isHeld(), 'and the first is over');
    },
  },
];
