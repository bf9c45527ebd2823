import { limits } from '../../core/limits.js';
import { bytes, checked, text } from '../../space/codecs.js';
import type { Namespace } from '../../space/types.js';
import { failsWith, holds, same } from './expect.js';
import type { RecipeCase } from './suite.js';

const badPaths: readonly string[] = ['//a', '/a/', '/a//b', '/./a', '/a/..', '/a\0b', '/a/\ud800'];

export const namespaceCases: readonly RecipeCase[] = [
  {
    name: '[N1] absolute and relative paths, and views of a subtree',
    async run({ a }) {
      const ns = a.namespace('n');
      const view = ns.at('orders');
      await view.put('42/status', 'queued');
      same((await ns.get('/orders/42/status'))?.value, 'queued', 'written through a view');
      same((await view.at('42').get('status'))?.path, '/orders/42/status', 'the path is absolute');
      same((await view.get('/orders/42/status'))?.value, 'queued', 'absolute through a view');
      await ns.put('/', 'root');
      same((await view.at('/').get(''))?.value, 'root', 'the root has a value');
    },
  },
  {
    name: '[N1] bad paths are refused before any work',
    async run({ a }) {
      const ns = a.namespace('n');
      for (const path of badPaths) await failsWith('invalid', () => ns.put(path, 1));
      const deep = '/a'.repeat(limits.pathDepthMax);
      await ns.put(deep, 1);
      await failsWith('too_large', () => ns.put(`${deep}/a`, 1));
      const long = `/${'x'.repeat(limits.pathBytesMax - 1)}`;
      await ns.put(long, 1);
      await failsWith('too_large', () => ns.put(`${long}x`, 1));
      await failsWith('too_large', () => ns.get(`/${'é'.repeat(limits.pathBytesMax / 2)}`));
      await failsWith('invalid', () => a.namespace('a/b'));
      await failsWith('invalid', () => a.namespace(''));
    },
  },
  {
    name: '[N1] __proto__ is plain data, as a path and as a field',
    async run({ a }) {
      const ns = a.namespace('n');
      const value = JSON.parse('{"__proto__":{"polluted":true},"constructor":1}') as object;
      await ns.put('/__proto__/constructor', value);
      const read = await ns.get('/__proto__/constructor');
      same(JSON.stringify(read?.value), JSON.stringify(value), 'the value as it was');
      same((await ns.children('/')).entries, ['__proto__'], 'the child as it was');
      holds(!('polluted' in {}), 'Object.prototype is untouched');
    },
  },
  {
    name: '[K6] values, operations and TTLs at their limits',
    async run({ a }) {
      const ns = a.namespace('n', { codec: text });
      await ns.put('/v', 'x'.repeat(limits.valueBytesMax));
      await failsWith('too_large', () => ns.put('/v', 'x'.repeat(limits.valueBytesMax + 1)));
      const puts = (count: number) =>
        Array.from({ length: count }, (_, i) => ({ put: `/p/${i}`, value: 'x' }));
      await ns.txn({ apply: puts(limits.operationsMax) });
      await failsWith('too_large', () => ns.txn({ apply: puts(limits.operationsMax + 1) }));
      for (const ttlMs of [0, Number.NaN, 1e12, -1, 1_000.5, 999]) {
        await failsWith('invalid', () => a.lease(ttlMs));
        await failsWith('invalid', () => ns.lock('/l', { ttlMs }));
      }
      same((await ns.explain('/l')).waiters, [], 'no place is left behind');
    },
  },
  {
    name: '[N2] a value and children at once; /ab is not below /a',
    async run({ a }) {
      const ns = a.namespace('n');
      for (const path of ['/a', '/a/b', '/ab', '/a-c', '/a/b/c']) await ns.put(path, path);
      same(
        (await ns.tree('/a')).entries.map((e) => e.path),
        ['/a', '/a/b', '/a/b/c'],
        'the tree of /a',
      );
      same((await ns.deleteTree('/a')).deleted, 3, 'deleted');
      same(
        (await ns.tree('/')).entries.map((e) => e.path),
        ['/a-c', '/ab'],
        'what is left',
      );
    },
  },
  {
    name: '[N3] conditional writes',
    async run({ a, b }) {
      const ns = a.namespace('n');
      const { revision } = await ns.put('/x', 1, { ifRevision: 0 });
      await failsWith('conflict', () => b.namespace('n').put('/x', 2, { ifRevision: 0 }));
      await b.namespace('n').put('/x', 2, { ifRevision: revision });
      await failsWith('conflict', () => ns.delete('/x', { ifRevision: revision }));
      same((await ns.get('/x'))?.value, 2, 'the second write stands');
      same((await ns.get('/x', { at: revision }))?.value, 1, 'the past can be read');
    },
  },
  {
    name: '[N4] a transaction over several paths',
    async run({ a }) {
      const ns = a.namespace('n');
      await ns.put('/from', 10);
      const move = {
        when: [
          { path: '/from', value: 10 },
          { path: '/to', exists: false },
        ],
        apply: [{ put: '/to', value: 10 }, { delete: '/from' }, { get: '/to' }],
        otherwise: [{ get: '/from' }],
      };
      const moved = await ns.txn(move);
      holds(moved.succeeded, 'the first time the checks hold');
      const got = moved.results[2];
      same(got?.type === 'get' && got.entry?.value, 10, 'a read sees the writes before it');
      same((await ns.txn(move)).succeeded, false, 'the second time they do not');
      await failsWith('invalid', () =>
        ns.txn({ apply: [{ put: '/d', value: 1 }, { delete: '/d' }] }),
      );
    },
  },
  {
    name: '[N5] children, leaves, nearest, pages',
    async run({ a }) {
      const ns = a.namespace('n');
      for (const path of ['/t/b/x/y', '/t/a', '/t/a/z', '/t/c', '/t/b!']) await ns.put(path, 1);
      same(
        (await ns.children('/t')).entries,
        ['a', 'b', 'b!', 'c'],
        'children, in the order of names',
      );
      same((await ns.leaves('/t')).entries, ['/t/a/z', '/t/b!', '/t/b/x/y', '/t/c'], 'leaves');
      same((await ns.nearest('/t/b/x/q'))?.path, undefined, 'nothing above has a value');
      same((await ns.nearest('/t/a/q/r'))?.path, '/t/a', 'the nearest above');
      const pages = await allPages(ns, '/t');
      same(pages, ['/t/a', '/t/a/z', '/t/b!', '/t/b/x/y', '/t/c'], 'pages of two');
      for (const limit of [1, 2, 3]) {
        const first = await ns.children('/t', { limit });
        const rest = await ns.children('/t', { after: first.entries.at(-1) });
        same([...first.entries, ...rest.entries], ['a', 'b', 'b!', 'c'], 'children by pages');
      }
    },
  },
  {
    name: '[N7] nothing crosses namespaces',
    async run({ a, b }) {
      const one = a.namespace('one');
      const two = b.namespace('two');
      await one.put('/x', 'one');
      await two.put('/x', 'two');
      const lock = await one.lock('/', { tree: true });
      await two.put('/x', 'still two');
      const other = await two.tryLock('/x');
      holds(other !== null, 'the same path is free elsewhere');
      await other.release();
      same((await two.deleteTree('/')).deleted, 1, 'a tree delete stays inside');
      same((await one.get('/x'))?.value, 'one', 'and leaves the other alone');
      same([...(await a.namespaces())].includes('one'), true, 'listed');
      await lock.release();
    },
  },
  {
    name: '[N9] dump and load',
    async run({ a, b }) {
      const ns = a.namespace('n');
      for (let i = 0; i < 250; i++) await ns.put(`/d/${i}`, { i });
      const dump = await ns.dump();
      const copy = b.namespace('copy');
      await copy.put('/old', 1);
      await copy.load(JSON.parse(JSON.stringify(dump)) as typeof dump, { replace: true });
      same((await copy.dump()).entries, dump.entries, 'the copy holds the same');
      const bad = { ...dump, entries: [...dump.entries, { path: '/../x', value: '' }] };
      await failsWith('invalid', () => b.namespace('other').load(bad));
      same((await b.namespace('other').tree('/')).entries, [], 'a bad dump writes nothing');
    },
  },
  {
    name: '[N1] codecs: JSON, text, bytes, and a schema that checks',
    async run({ a }) {
      const raw = a.namespace('n', { codec: bytes });
      const all = Uint8Array.from({ length: 256 }, (_, i) => i);
      await raw.put('/bytes', all);
      same([...((await raw.get('/bytes'))?.value ?? [])], [...all], 'every byte comes back');
      await a.namespace('n', { codec: text }).put('/text', 'grüße 🦊');
      same((await a.namespace('n').as(text).get('/text'))?.value, 'grüße 🦊', 'text comes back');
      const even = checked<number>({
        '~standard': {
          validate: (value) =>
            typeof value === 'number' && value % 2 === 0
              ? { value }
              : { issues: [{ message: 'not even' }] },
        },
      });
      const numbers = a.namespace('n', { codec: even });
      await numbers.put('/even', 2);
      await failsWith('invalid', () => numbers.put('/even', 3));
      await failsWith('invalid', () => a.namespace('n').put('/u', undefined));
      await failsWith('invalid', () => numbers.get('/text'));
    },
  },
  {
    name: '[S1] a lease of one\u2019s own: its keys vanish with it',
    async run({ a, b }) {
      const lease = await a.lease(5_000);
      await a.namespace('n').put('/leased', 1, { lease });
      same((await b.namespace('n').get('/leased'))?.lease, lease.id, 'attached');
      holds(
        lease.isHeld() && lease.remainingMs() > 0 && lease.remainingMs() < 5_000,
        'held, for less than its TTL',
      );
      same(await lease.release(), true, 'ended');
      same(await lease.release(), false, 'ended once');
      same(await b.namespace('n').get('/leased'), null, 'and its key is gone');
      await failsWith('not_found', () => a.namespace('n').put('/late', 1, { lease }));
    },
  },
];

async function allPages(ns: Namespace, path: string): Promise<string[]> {
  const paths: string[] = [];
  for (let after: string | undefined; ;) {
    const page = await ns.tree(path, { limit: 2, after });
    paths.push(...page.entries.map((entry) => entry.path));
    after = paths.at(-1);
    if (!page.more) return paths;
  }
}
