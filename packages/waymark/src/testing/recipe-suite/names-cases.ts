import type { NamesChange, Name, Names } from '../../space/names-types.js';
import { lists } from '../../space/name-lists.js';
import { eventually, failsWith, holds, same, soon } from './expect.js';
import type { RecipeCase, RecipeContext } from './suite.js';

const peaks = ['Denali', 'MtLogan', 'PicodeOrizaba'];

export function peaksOf(space: RecipeContext['a']): Names {
  return space.namespace('n').names('/peaks', peaks);
}

async function claimAll(names: Names, owners: readonly string[]): Promise<Name[]> {
  const claimed: Name[] = [];
  for (const owner of owners) claimed.push(await names.claim(owner));
  return claimed;
}

export const namesCases: readonly RecipeCase[] = [
  {
    name: '[A1] a claim has the lowest free name: a freed Denali goes next',
    async run({ a, b }) {
      const claimed = await claimAll(peaksOf(a), ['one', 'two']);
      same(
        claimed.map(({ name, position }) => [name, position]),
        [
          ['Denali', 0],
          ['MtLogan', 1],
        ],
        'in order',
      );
      same(await claimed[0]?.release(), true, 'released');
      same(await claimed[0]?.release(), false, 'once');
      same((await peaksOf(b).claim('three')).name, 'Denali', 'the lowest, seen from elsewhere');
      same((await peaksOf(a).claim('four')).name, 'PicodeOrizaba', 'and then the next');
    },
  },
  {
    name: '[A1] a name far down a long list that is freed elsewhere goes next',
    async run({ a, b }) {
      const list = lists.prefixed('web', 1_000);
      const here = a.namespace('n').names('/web', list);
      const there = b.namespace('n').names('/web', list);
      const claimed: Name[] = [];
      for (let i = 0; i < 200; i++) claimed.push(await here.claim(`owner-${i}`));
      same((await there.claim('next')).name, 'web201', 'the first free one');
      for (const position of [150, 7]) {
        await claimed[position]?.release();
        same((await there.claim(`again-${position}`)).position, position, 'freed');
      }
    },
  },
  {
    name: '[A2] who asks again under the same lease has the same name; another owner or lease has another',
    async run({ a, b }) {
      const lease = await a.lease(30_000);
      const first = await peaksOf(a).claim('me', { lease });
      const again = await peaksOf(a).claim('me', { lease });
      same([again.name, again.token], [first.name, first.token], 'the same claim');
      same((await peaksOf(a).claim('you', { lease })).name, 'MtLogan', 'another owner');
      same((await peaksOf(b).claim('me')).name, 'PicodeOrizaba', 'another lease');
      same((await peaksOf(a).members()).members.length, 3, 'three claims');
    },
  },
  {
    name: '[A2] a claim that is aborted on its way leaves no name behind, and takes none away',
    async run({ a }) {
      const mine = await peaksOf(a).claim('me');
      for (const owner of ['me', 'you']) {
        const aborted = new AbortController();
        const claim = peaksOf(a).claim(owner, { signal: aborted.signal });
        aborted.abort(new Error('enough'));
        const refusal = await claim.then(() => 'claimed', String);
        same(refusal, 'Error: enough', 'the reason of the signal');
      }
      await peaksOf(a).claim('next');
      await eventually('only those who wanted it', async () => {
        const { members } = await peaksOf(a).members();
        return members.map(({ owner }) => owner).join() === 'me,next';
      });
      holds(mine.isHeld() && mine.name === 'Denali', 'the first claim stands');
    },
  },
  {
    name: '[A3] names end with the lease they are under; releasing one leaves the lease of its caller',
    async run({ a, b }) {
      const lease = await a.lease(30_000);
      const one = await peaksOf(a).claim('one', { lease });
      const two = await peaksOf(a).claim('two', { lease });
      await one.release();
      holds(lease.isHeld() && two.isHeld(), 'the lease and its other name stand');
      same((await peaksOf(b).claim('three')).name, 'Denali', 'free for others');
      const waiting = peaksOf(b).claim('four');
      same((await waiting).name, 'PicodeOrizaba', 'the second is taken still');
      await lease.release();
      holds(!two.isHeld(), 'gone with the lease');
      same((await peaksOf(b).claim('five')).name, 'MtLogan', 'and free');
      await failsWith('lost', () => peaksOf(a).claim('six', { lease }));
      const other = await a.lease(30_000);
      await failsWith('invalid', () => peaksOf(a).claim('six', { lease: other, ttlMs: 5_000 }));
    },
  },
  {
    name: '[A4] everybody agrees on the list: another one is refused while anybody has a name of it',
    async run({ a, b }) {
      const other = b.namespace('n').names('/peaks', ['Etna', 'Fuji']);
      const name = await peaksOf(a).claim('one');
      await failsWith('conflict', () => other.claim('two'));
      same((await b.namespace('n').names('/peaks').claim('two')).name, 'MtLogan', 'the one in use');
      await failsWith('conflict', () => other.claim('three', { waitMs: 20 }));
      await name.release();
      for (const { owner } of (await other.members()).members) same(owner, 'two', 'who is left');
      await b.close();
      const etna = await a.namespace('n').names('/peaks', ['Etna', 'Fuji']).claim('three');
      same(etna.name, 'Etna', 'replaced once nobody had a name');
      same((await peaksOf(a).members()).size, 2, 'for everybody');
      const first = await a.namespace('n').names('/default').claim('one');
      same(first.name, 'Denali', 'the mountains, where there is no list');
    },
  },
  {
    name: '[A4] a list has each name once: a duplicate is refused with its positions, or dropped',
    async run({ a }) {
      const ns = a.namespace('n');
      const twice = ['Denali', 'WheelerPeak', 'MtLogan', 'WheelerPeak'];
      const refused = await failsWith('invalid', () => ns.names('/peaks', twice));
      same(refused.facts.positions, [1, 3], 'where');
      const names = ns.names('/peaks', twice, { dropDuplicates: true });
      await claimAll(names, ['one', 'two', 'three']);
      same((await names.members()).size, 3, 'three names');
      same(new Set(lists.mountains).size, 99, 'the mountains are 99');
      same(lists.mountains.length, 99, 'each once');
      same(lists.mountainsAscii[58], 'VolcanTajumulco', 'in ASCII');
      for (const list of [[], [''], ['a\nb'], ['\ud800'], [7 as unknown as string]]) {
        await failsWith('invalid', () => ns.names('/bad', list));
      }
      await failsWith('too_large', () => ns.names('/bad', ['x'.repeat(129)]));
      await failsWith('too_large', () => lists.prefixed('x', 10_001));
      await failsWith('invalid', () => lists.prefixed('x', 0));
    },
  },
  {
    name: '[A5] exhausted means that every name is taken; what is asked badly is refused before',
    async run({ a, b }) {
      const claimed = await claimAll(peaksOf(a), ['one', 'two', 'three']);
      const full = await failsWith('exhausted', () => peaksOf(b).claim('four'));
      same(full.facts.actual, 3, 'all of them');
      await claimed[2]?.release();
      same((await peaksOf(b).claim('four')).name, 'PicodeOrizaba', 'one was free');
      await failsWith('invalid', () => peaksOf(a).claim(''));
      await failsWith('invalid', () => peaksOf(a).claim('a\0b'));
      await failsWith('too_large', () => peaksOf(a).claim('x'.repeat(257)));
      await failsWith('invalid', () => peaksOf(a).claim('x', { waitMs: -1 }));
      await failsWith('invalid', () => peaksOf(a).claim('x', { ttlMs: 10 }));
      await failsWith('invalid', () => peaksOf(a).claim('x', { graceMs: 0 }));
    },
  },
  {
    name: '[A6] who waits is served first come, first served, and before who does not',
    async run({ a, b, another }) {
      const claimed = await claimAll(peaksOf(a), ['one', 'two', 'three']);
      const served: string[] = [];
      const waiting: Promise<Name>[] = [];
      for (let i = 0; i < 3; i++) {
        const space = await another(`waiter-${i}`);
        const claim = peaksOf(space).claim(`waiter-${i}`, { wait: true });
        waiting.push(claim);
        void claim.then((name) => served.push(`${name.owner}:${name.name}`));
        await inLine(a, i + 1);
      }
      await claimed[1]?.release();
      await eventually('the first', () => served.length === 1);
      await failsWith('exhausted', () => peaksOf(b).claim('no'));
      await claimed[2]?.release();
      await eventually('the second', () => served.length === 2);
      await claimed[0]?.release();
      await soon('all', Promise.all(waiting));
      same(
        served,
        ['waiter-0:MtLogan', 'waiter-1:PicodeOrizaba', 'waiter-2:Denali'],
        'in the order in which they came',
      );
      await inLine(a, 0);
    },
  },
  {
    name: '[A6] who aborts, or runs out of time, stands in line no longer',
    async run({ a, b }) {
      const claimed = await claimAll(peaksOf(a), ['one', 'two', 'three']);
      await failsWith('timeout', () => peaksOf(b).claim('late', { waitMs: 20 }));
      await inLine(a, 0);
      const aborted = new AbortController();
      const waiting = peaksOf(b).claim('gone', { wait: true, signal: aborted.signal });
      await inLine(a, 1);
      aborted.abort(new Error('enough'));
      const refusal = await waiting.then(
        () => 'claimed',
        (error: unknown) => String(error),
      );
      same(refusal, 'Error: enough', 'the reason of the signal');
      await inLine(a, 0);
      await claimed[0]?.release();
      same((await peaksOf(b).claim('next')).name, 'Denali', 'nobody is in the way');
    },
  },
  {
    name: '[A7] a watch tells what came and went while it was not read, one step after the other',
    async run({ a, b }) {
      const ended = new AbortController();
      const changes = peaksOf(b).watch({ signal: ended.signal });
      const watch = changes[Symbol.asyncIterator]();
      await watch.next();
      const [first] = await claimAll(peaksOf(a), ['one']);
      await first?.release();
      await claimAll(peaksOf(a), ['two']);
      const told: string[] = [];
      while (told.length < 3) {
        const { value } = (await soon('a change', watch.next())) as { value: NamesChange };
        const { claimed, freed } = value;
        told.push(`${claimed.map(({ owner }) => owner)}/${freed.map(({ owner }) => owner)}`);
      }
      same(told, ['one/', '/one', 'two/'], 'every step');
      ended.abort();
      await watch.next().catch(() => undefined);
    },
  },
  {
    name: '[A7] members are one snapshot; a watch tells every claim and every end of one',
    async run({ a, b }) {
      const ended = new AbortController();
      const seen: NamesChange[] = [];
      const watching = (async () => {
        for await (const change of peaksOf(b).watch({ signal: ended.signal })) seen.push(change);
      })().catch(() => undefined);
      await eventually('the start', () => seen.length === 1);
      const [first, second] = await claimAll(peaksOf(a), ['one', 'two']);
      const { members, size, revision } = await peaksOf(b).members();
      same(
        members.map(({ name, owner, token }) => [name, owner, token]),
        [
          ['Denali', 'one', first?.token],
          ['MtLogan', 'two', second?.token],
        ],
        'in the order of the list',
      );
      same([size, revision >= (second?.token ?? 0)], [3, true], 'of three names');
      await first?.release();
      await eventually('the end', () => seen.length === 4);
      same(
        seen.map(({ claimed, freed, members: all }) => [
          claimed.map(({ name }) => name),
          freed.map(({ name }) => name),
          all.length,
        ]),
        [
          [[], [], 0],
          [['Denali'], [], 1],
          [['MtLogan'], [], 2],
          [[], ['Denali'], 1],
        ],
        'every change, once, in order',
      );
      ended.abort();
      await watching;
    },
  },
  {
    name: '[A10] names, a lock, an election and a key of one path have nothing to do with each other',
    async run({ a, b }) {
      const ns = a.namespace('n');
      const lock = await ns.lock('/peaks', { tree: true });
      const name = await peaksOf(b).claim('one');
      await ns.put('/peaks', 1, { hold: lock });
      same((await ns.tree('/')).entries.length, 1, 'no names among the keys');
      same((await b.namespace('other').names('/peaks').members()).members, [], 'nor elsewhere');
      await ns.deleteTree('/');
      holds((await peaksOf(a).members()).members.length === 1 && name.isHeld(), 'still claimed');
    },
  },
  {
    name: '[A11] 500 owners that claim at once have 500 names, each once',
    async run({ a, b }) {
      const list = lists.prefixed('n', 500);
      const spaces = [a, b].map((space) => space.namespace('n').names('/all', list));
      const claims = Array.from({ length: 500 }, (_, i) =>
        (spaces[i % 2] as Names).claim(`owner-${i}`),
      );
      const names = await soon('all of them', Promise.all(claims), 60_000);
      same(new Set(names.map(({ name }) => name)).size, 500, 'each once');
      await failsWith('exhausted', () => (spaces[0] as Names).claim('one more'));
    },
  },
];

async function inLine(space: RecipeContext['a'], count: number): Promise<void> {
  await eventually(
    `${count} in line`,
    async () => (await peaksOf(space).members()).waiting.length === count,
  );
}
