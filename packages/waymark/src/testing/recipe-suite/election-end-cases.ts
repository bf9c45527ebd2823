import type { Election, Leader } from '../../space/election-types.js';
import type { Hold } from '../../space/types.js';
import { eventually, failsWith, holds, same, soon } from './expect.js';
import type { RecipeCase } from './suite.js';

/** How terms, campaigns and observations end. */
export const electionEndCases: readonly RecipeCase[] = [
  {
    name: '[E3] an observer that fell behind is told every change, in order',
    async run({ a, b }) {
      const observed = b.namespace<number>('n').election('/chief').observe();
      same((await observed.next()).value, null, 'nobody yet');
      const election = a.namespace<number>('n').election('/chief');
      for (let round = 0; round < 5; round++) {
        const term = await election.campaign({ value: round });
        await term.proclaim(round + 100);
        await term.release();
      }
      const told: (number | null | undefined)[] = [];
      for (let step = 0; step < 15; step++) {
        const { value } = await soon('a change', observed.next());
        told.push((value as Leader<number> | null)?.value);
      }
      const rounds = [0, 1, 2, 3, 4].flatMap((round) => [round, round + 100, undefined]);
      same(told, rounds, 'each election, proclamation and end');
      await observed.return?.();
    },
  },
  {
    name: '[E3] an observation that waits ends with its signal, with its space, and at once when it is left',
    async run({ a, another }) {
      const election = a.namespace('n').election('/chief');
      const begin = async (of: Election, signal?: AbortSignal) => {
        const observed = of.observe({ signal });
        same((await observed.next()).value, null, 'nobody leads');
        return { observed, waiting: observed.next() };
      };
      const left = await begin(election);
      await soon('leaving', left.observed.return?.() ?? Promise.reject(new Error('no return')));
      same((await soon('its step', left.waiting)).done, true, 'the step under way is settled');
      same((await left.observed.next()).done, true, 'and none follows');

      const stop = new AbortController();
      const aborted = await begin(election, stop.signal);
      const why = new Error('enough');
      stop.abort(why);
      same(await soon('the abort', reasonOf(aborted.waiting)), why, 'the reason of the signal');
      const late = election.observe({ signal: stop.signal }).next();
      same(await soon('the refusal', reasonOf(late)), why, 'also when it had aborted before');

      const leaving = await another('leaving');
      const closed = await begin(leaving.namespace('n').election('/chief'));
      const refused = failsWith('unavailable', () => closed.waiting);
      await leaving.close();
      await soon('the end of the space', refused);
    },
  },
  {
    name: '[E8] the removal of its namespace ends a term, and its signal says so',
    async run({ a, b, another }) {
      const watched = await a.namespace('n').election('/watched').campaign();
      const candidate = await another('candidate');
      const waiting = candidate.namespace('n').election('/watched').campaign();
      const refused = failsWith('lost', () => waiting);
      const explain = () => b.namespace('n').election('/watched').explain();
      await eventually('it stands', async () => (await explain()).waiters.length === 1);
      const fresh = await a.namespace('n').election('/fresh').campaign();
      const own = await a.namespace('n').election('/own').campaign({ renew: false });
      await b.removeNamespace('n');
      for (const term of [watched, fresh, own]) {
        await soon('the signal', lossOf(term));
        const { message = '' } = term.reason ?? {};
        holds(message.includes('namespace n was removed'), `the reason says so: ${message}`);
        same(await term.release(), false, 'nothing is left to give back');
      }
      await soon('the refusal', refused);
      const again = await candidate.namespace('n').election('/watched').campaign();
      holds(again.token > watched.token, 'a new campaign begins a greater term');
      await again.release();
    },
  },
  {
    name: '[E8] leases end with what was held by them: resigned, refused, taken away, or at the close',
    async run({ a, b, another }) {
      const election = a.namespace('n').election('/chief');
      const leases = async (): Promise<number> => (await b.status()).leases;
      const gone = (what: string) => eventually(what, async () => (await leases()) === before);
      const before = await leases();
      const term = await election.campaign({ renew: false });
      await term.release();
      same(await leases(), before, 'its own lease went with the term');
      const held = await election.campaign({ renew: false, ttlMs: 600_000 });
      await b.removeNamespace('n');
      await soon('the loss', lossOf(held));
      await gone('the lease of a term that was taken away');

      const leaving = await another('leaving');
      const leader = await leaving.namespace('n').election('/other').campaign({ ttlMs: 600_000 });
      const waiter = await another('waiter');
      const waiting = waiter.namespace('n').election('/other').campaign({ ttlMs: 600_000 });
      const lost = failsWith('lost', () => waiting);
      const explain = () => b.namespace('n').election('/other').explain();
      await eventually('it stands', async () => (await explain()).waiters.length === 1);
      await b.removeNamespace('n');
      await soon('the end of the campaign', lost);
      await soon('the end of the term', lossOf(leader));
      await waiter.close();
      await leaving.close();
      same(await leases(), before, 'leases shared by many go with their space');
    },
  },
  {
    name: '[E8] a term that is not renewed ends by itself, its signal before the next term',
    async run({ a, b }) {
      const chief = a.namespace('n').election('/chief');
      const term = await chief.campaign({ ttlMs: 1_000, renew: false });
      let lostAt = Infinity;
      term.signal.addEventListener('abort', () => (lostAt = performance.now()), { once: true });
      const next = await soon('the next', b.namespace('n').election('/chief').campaign());
      holds(lostAt <= performance.now(), 'the signal came first');
      holds(next.token > term.token && !term.isHeld() && !chief.isLeader(), 'and it leads no more');
      await next.release();
    },
  },
  {
    name: '[E6] what is asked for badly is refused: it names its fault, and nobody stands',
    async run({ a, b, another }) {
      const election = a.namespace<string>('n').election('/chief');
      await failsWith('invalid', () => a.namespace('n').election('/a//b'));
      await failsWith('invalid', () => election.campaign({ ttlMs: 1 }));
      await failsWith('invalid', () => election.campaign({ waitMs: -1 }));
      await failsWith('invalid', () => election.campaign({ owner: 'a\0b' }));
      await failsWith('too_large', () => election.campaign({ owner: 'o'.repeat(257) }));
      await failsWith('too_large', () => election.campaign({ value: 'v'.repeat(1_048_577) }));
      same(await election.leader(), null, 'nobody leads');
      const term = await election.campaign();
      await failsWith('too_large', () => term.proclaim('v'.repeat(1_048_577)));
      await failsWith('conflict', () => election.campaign());
      await failsWith('timeout', () => b.namespace('n').election('/chief').campaign({ waitMs: 0 }));
      same((await election.explain()).waiters, [], 'nobody stands');
      await term.release();
      const closed = await another('closed');
      const late = closed.namespace('n').election('/chief');
      await closed.close();
      await failsWith('unavailable', () => late.campaign());
      await failsWith('unavailable', () => late.leader());
    },
  },
  {
    name: '[E6] a campaign that aborts while its election is on the way leads nothing in the end',
    async run({ b }) {
      const election = b.namespace('n').election('/chief');
      await (await election.campaign()).release();
      for (let round = 0; round < 10; round++) {
        const stop = new AbortController();
        const term = election.campaign({ signal: stop.signal }).catch(() => null);
        stop.abort(new Error('enough'));
        await (await soon('an answer', term))?.release();
        await eventually('nobody leads', async () => (await election.leader()) === null, 3_000);
      }
    },
  },
  {
    name: '[E4] what is proclaimed with an election is as large as any value, also of a candidate that waited',
    async run({ a, b }) {
      const value = 'v'.repeat(900_000);
      const term = await a.namespace<string>('n').election('/chief').campaign({ value });
      const other = b.namespace<string>('n').election('/chief');
      const waiting = other.campaign({ value: `${value}!` });
      await eventually('it stands', async () => (await other.explain()).waiters.length === 1);
      await term.release();
      const next = await soon('the next', waiting);
      same((await other.leader())?.value, `${value}!`, 'its proclamation');
      await next.release();
    },
  },
  {
    name: '[E9] a write under a term is refused once the term is over, in the same commit; the term locks nothing',
    async run({ a, b }) {
      const ns = a.namespace<string>('n');
      const term = await ns.election('/chief').campaign();
      const { path, token } = term;
      await ns.put('/state', 'one', { hold: term });
      await ns.put('/chief', 'two', { hold: { path, token } });
      await b.namespace<string>('n').put('/chief', 'three');
      const locked = await b.namespace('n').lock('/held');
      await failsWith('locked', () => ns.put('/held', 'no', { hold: term }));
      await locked.release();
      await term.release();
      const next = await b.namespace('n').election('/chief').campaign();
      await failsWith('lost', () => ns.put('/state', 'late', { hold: { path, token } }));
      await failsWith('lost', () => ns.put('/state', 'late', { hold: term }));
      same((await ns.get('/state'))?.value, 'one', 'untouched');
      await next.release();
    },
  },
];

function lossOf({ signal }: Hold): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

async function reasonOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    return await promise;
  } catch (error) {
    return error;
  }
}
