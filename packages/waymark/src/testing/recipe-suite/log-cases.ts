import type { WaymarkError } from '../../core/errors.js';
import type { LogEntry } from '../../space/log-types.js';
import type { Space } from '../../space/types.js';
import type { Log } from '../../space/log-types.js';
import { failsWith, holds, same, soon } from './expect.js';
import type { RecipeCase } from './suite.js';

function logOf(space: Space): Log<string> {
  return space.namespace<string>('n').log('/audit');
}

const values = (entries: readonly LogEntry<string>[]): string[] =>
  entries.map(({ value }) => value);
const positions = (entries: readonly LogEntry<string>[]): number[] =>
  entries.map(({ position }) => position);

async function appendAll(log: Log<string>, told: readonly string[]): Promise<void> {
  for (const value of told) await log.append(value);
}

async function collect<T>(from: AsyncIterable<T>, count = Infinity): Promise<T[]> {
  const found: T[] = [];
  for await (const one of from) if (found.push(one) >= count) break;
  return found;
}

export const logCases: readonly RecipeCase[] = [
  {
    name: '[J1] positions are dense from 1, whoever appends and however many at once',
    async run({ a, b }) {
      const told = await Promise.all(
        Array.from({ length: 60 }, (_, i) => logOf(i % 2 === 0 ? a : b).append(`v${i}`)),
      );
      const given = told.map(({ position }) => position).sort((x, y) => x - y);
      same(
        given,
        Array.from({ length: 60 }, (_, i) => i + 1),
        'each position once',
      );
      const all = await collect(logOf(b).all());
      same(positions(all), [...given], 'read in their order');
      for (const [i, { position }] of told.entries()) {
        same(all[position - 1]?.value, `v${i}`, 'where its append was told');
      }
      same((await logOf(a).info()).next, 61, 'and the next is known');
    },
  },
  {
    name: '[J1] appends of one client stand in the order in which they were made',
    async run({ a }) {
      await Promise.all(Array.from({ length: 50 }, (_, i) => logOf(a).append(String(i))));
      const all = await collect(logOf(a).all());
      same(
        values(all),
        Array.from({ length: 50 }, (_, i) => String(i)),
        'in order',
      );
    },
  },
  {
    name: '[J2] an append that is repeated with its request id is there once, and told where',
    async run({ a, b }) {
      const first = await logOf(a).append('once', { id: 'request-1' });
      await logOf(b).append('between');
      const again = await logOf(b).append('once', { id: 'request-1' });
      same(again, { ...first, repeated: true }, 'the same entry');
      const both = await Promise.all([1, 2].map(() => logOf(a).append('twin', { id: 'twin' })));
      same(both[0]?.position, both[1]?.position, 'also when both are on their way at once');
      const mixed = await Promise.all([
        logOf(a).append('once', { id: 'request-1' }),
        logOf(a).append('last'),
      ]);
      same([mixed[0]?.position, mixed[1]?.position], [1, 4], 'beside one that is new');
      same(values(await collect(logOf(b).all())), ['once', 'between', 'twin', 'last'], 'once each');
    },
  },
  {
    name: '[J3] an entry tells its author, its time and its revision, and never changes',
    async run({ a, b }) {
      const { at, revision } = await logOf(a).append('mine');
      await logOf(b).append('yours', { author: 'somebody' });
      const [newest, oldest] = (await logOf(b).read()).entries;
      same(oldest, { position: 1, value: 'mine', author: 'a', at, revision }, 'as told');
      same([newest?.position, newest?.author], [2, 'somebody'], 'by another name');
      holds(at > 1_600_000_000_000, 'the wall clock');
      const ns = a.namespace<string>('n');
      await ns.put('/audit', 'a key of the same path');
      await ns.deleteTree('/');
      same(
        (await logOf(b).read()).entries.length,
        2,
        'no write and no deletion of keys touches it',
      );
    },
  },
  {
    name: '[J4] reads go newest or oldest first, a page at a time; latest is the newest',
    async run({ a, b }) {
      const log = logOf(a);
      same(await log.latest(), null, 'nothing yet');
      same((await log.read()).entries, [], 'nothing to read');
      await appendAll(logOf(b), ['1', '2', '3', '4', '5']);
      same((await log.latest())?.value, '5', 'the newest');
      const first = await log.read({ limit: 2 });
      same([values(first.entries), first.more], [['5', '4'], true], 'newest first');
      const second = await log.read({ limit: 2, after: 4 });
      same([values(second.entries), second.more], [['3', '2'], true], 'older than the page before');
      const last = await log.read({ limit: 2, after: 2 });
      same([values(last.entries), last.more], [['1'], false], 'the last page');
      const oldest = await log.read({ limit: 3, from: 'oldest' });
      same([values(oldest.entries), oldest.more], [['1', '2', '3'], true], 'oldest first');
      const rest = await log.read({ limit: 3, from: 'oldest', after: 3 });
      same([values(rest.entries), rest.more], [['4', '5'], false], 'the rest');
      same(values(await collect(log.all({ after: 3 }))), ['4', '5'], 'all after a position');
    },
  },
  {
    name: '[J5] watch gives every entry after a position, those that are there and those that come',
    async run({ a, b }) {
      await appendAll(logOf(a), ['1', '2', '3']);
      const late = new AbortController();
      const { signal } = late;
      const fromOne = collect(logOf(b).watch({ after: 1, signal }), 4);
      const appended = (async () => {
        for (let i = 4; i <= 5; i++) await logOf(a).append(String(i));
      })();
      same(values(await soon('four entries', fromOne)), ['2', '3', '4', '5'], 'none left out');
      await appended;
      await failsWith('future_revision', () => collect(logOf(b).watch({ after: 9 })));
      late.abort();
    },
  },
  {
    name: '[J6] a log keeps so many entries: the oldest go with the append, positions go on',
    async run({ a, b }) {
      const log = logOf(a);
      await appendAll(log, ['1', '2', '3', '4', '5']);
      const info = await log.retain({ entries: 3 });
      same(info, { entries: 3, first: 3, next: 6 }, 'dropped at once');
      await logOf(b).append('6', { id: 'six' });
      same(positions((await log.read()).entries), [6, 5, 4], 'three are left');
      await Promise.all(Array.from({ length: 20 }, (_, i) => log.append(`more ${i}`)));
      const { entries, more } = await log.read();
      same([positions(entries), more], [[26, 25, 24], false], 'never more, also of many at once');
      holds(!(await log.append('6', { id: 'six' })).repeated, 'its request id went with the entry');
      await failsWith('compacted', () => collect(log.watch({ after: 3 })));
      await log.retain({});
      await appendAll(log, ['x', 'y']);
      same((await log.read()).entries.length, 5, 'without a bound nothing goes');
    },
  },
  {
    name: '[J6] dropping thousands is done in many commits, and keeps what it should',
    async run({ a }) {
      const log = logOf(a);
      await Promise.all(Array.from({ length: 750 }, (_, i) => log.append(String(i))));
      const { first } = await log.retain({ entries: 20 });
      same([first, (await collect(log.all())).length], [731, 20], 'the newest twenty');
    },
  },
  {
    name: '[J7] bad input is refused before any work',
    async run({ a }) {
      const log = logOf(a);
      await failsWith('invalid', () => log.append('x', { id: 'no spaces' }));
      await failsWith('invalid', () => log.append('x', { author: 'a\0b' }));
      await failsWith('too_large', () => log.append('x', { author: 'a'.repeat(257) }));
      await failsWith('too_large', () => log.append('x'.repeat(1_048_576)));
      await failsWith('invalid', () => log.read({ limit: 0 }));
      await failsWith('invalid', () => log.read({ limit: 1_001 }));
      await failsWith('invalid', () => log.read({ after: -1 }));
      await failsWith('invalid', () => log.read({ from: 'middle' as 'newest' }));
      await failsWith('invalid', () => log.retain({ entries: 0 }));
      await failsWith('invalid', () => log.retain({ ageMs: 0 }));
      await failsWith('invalid', () => a.namespace('n').log('//'));
      same((await log.info()).next, 1, 'nothing was written');
      await log.append('x'.repeat(1_048_000));
      same((await log.latest())?.value.length, 1_048_000, 'and just within the limit is taken');
    },
  },
  {
    name: '[J8] every word is a name of a log, and data: nothing is reserved',
    async run({ a }) {
      const ns = a.namespace<string>('n');
      for (const name of ['/h', '/r', '/__proto__', '/0000000000000001', '/leader']) {
        await ns.log(name).append(name);
        await ns.put(name, 'data');
      }
      same((await ns.log('/h').latest())?.value, '/h', 'each its own');
      same((await ns.log('/').read()).entries, [], 'and the root is another');
      same((await collect(ns.log('/h').all())).length, 1, 'with its own entries alone');
    },
  },
  {
    name: '[J10] an append under a lock or a term is written while that stands, and by nobody else',
    async run({ a, b }) {
      const [mine, theirs] = [a.namespace('n'), b.namespace('n')];
      const log = logOf(a);
      const lock = await mine.lock('/job');
      same((await log.append('1', { hold: lock })).position, 1, 'its holder appends');
      const { path, token } = lock;
      same((await logOf(b).append('2', { hold: { path, token } })).position, 2, 'a proof');
      const foreign = await theirs.lock('/other');
      await failsWith('lost', () => log.append('x', { hold: { path, token: foreign.token } }));
      await failsWith('lost', () => log.append('x', { hold: { path: '/none', token } }));
      await failsWith('invalid', () => log.append('x', { hold: { path: '/a//b', token } }));
      await failsWith('invalid', () => log.append('x', { hold: { path, token: 0 } }));
      same((await log.append('3')).position, 3, 'a lock alone keeps nobody out: J8');
      const first = await mine.election('/chief').campaign();
      same((await log.append('4', { hold: first, id: 'four' })).position, 4, 'a leader');
      await first.release();
      const second = await theirs.election('/chief').campaign();
      const deposed = { path: '/chief', token: first.token };
      await failsWith('lost', () => log.append('x', { hold: deposed }));
      const again = await log.append('4', { hold: deposed, id: 'four' });
      same([again.position, again.repeated], [4, true], 'what it wrote before is told');
      same((await logOf(b).append('5', { hold: second })).position, 5, 'the next one');
      await mine.forceUnlock('/job', { reason: 'taken' });
      await failsWith('lost', () => log.append('x', { hold: { path, token } }));
      same(values(await collect(log.all())), ['1', '2', '3', '4', '5'], 'nothing else was written');
    },
  },
  {
    name: '[J10] appends under several holds at once stand in order, and a hold that ends takes none but its own along',
    async run({ a }) {
      const ns = a.namespace('n');
      const log = logOf(a);
      const [one, two] = [await ns.lock('/one'), await ns.lock('/two')];
      const group = await ns.members('/g').join({ id: 'm', lead: true });
      const term = await group.elected();
      const holds = [one, undefined, two, { path: '/one', token: two.token }, one, term];
      const appends = holds.map((hold, i) => log.append(String(i), { hold }));
      const ends = await Promise.all(
        appends.map((append) =>
          append.then(
            () => 'written',
            ({ code }: WaymarkError) => code,
          ),
        ),
      );
      same(
        ends,
        ['written', 'written', 'written', 'lost', 'written', 'written'],
        'each by its own',
      );
      same(
        values(await collect(log.all())),
        ['0', '1', '2', '4', '5'],
        'in the order in which they were made',
      );
      await two.release();
      const proof = { path: '/two', token: two.token };
      const late = [proof, one].map((hold) => log.append('x', { hold }));
      await failsWith('lost', () => late[0]);
      same((await late[1])?.position, 6, 'the other one goes on');
    },
  },
];
