import { setTimeout as sleep } from 'node:timers/promises';
import { failsWith, holds, same, soon } from './expect.js';
import type { RecipeCase } from './suite.js';

export const guardCases: readonly RecipeCase[] = [
  {
    name: '[G1] a write under a foreign lock is refused, with who holds it',
    async run({ a, b }) {
      const ns = b.namespace('n');
      await ns.put('/t/x', 1);
      const lock = await a.namespace('n').lock('/t', { tree: true, owner: 'holder' });
      const error = await failsWith('locked', () => ns.put('/t/new', 1));
      same(error.facts.holder, 'holder', 'the holder');
      same(error.facts.token, lock.token, 'the token');
      same(error.facts.path, '/t', 'the path');
      await failsWith('locked', () => ns.delete('/t/x'));
      await failsWith('locked', () =>
        ns.txn({
          apply: [
            { put: '/free', value: 1 },
            { put: '/t', value: 1 },
          ],
        }),
      );
      same(await ns.get('/free'), null, 'and nothing of it was done');
      await ns.put('/tx', 1);
      await lock.release();
      await ns.put('/t/new', 1);
    },
  },
  {
    name: '[G1] the deletion of a tree is refused by a lock below',
    async run({ a, b }) {
      await b.namespace('n').put('/t/x/y', 1);
      const lock = await a.namespace('n').lock('/t/x/y');
      await failsWith('locked', () => b.namespace('n').deleteTree('/t'));
      await failsWith('locked', () => b.namespace('n').deleteTree('/'));
      same((await a.namespace('n').deleteTree('/')).deleted, 1, 'its holder may');
      await lock.release();
    },
  },
  {
    name: '[G2] every holder may write, also one that waited; a shared lock refuses all',
    async run({ a, b }) {
      const first = await a.namespace('n').lock('/g', { tree: true });
      await a.namespace('n').put('/g/x', 'first');
      const waiting = b.namespace('n').lock('/g/x');
      await first.release();
      const second = await soon('the grant', waiting);
      await b.namespace('n').put('/g/x', 'second');
      await failsWith('locked', () => a.namespace('n').put('/g/x', 'late'));
      await second.release();
      const shared = await a.namespace('n').lock('/g/x', { mode: 'shared' });
      await failsWith('locked', () => a.namespace('n').put('/g/x', 'mine?'));
      await failsWith('locked', () => b.namespace('n').put('/g/x', 'theirs?'));
      await shared.release();
    },
  },
  {
    name: '[G3] a hold that is gone writes nothing',
    async run({ a, b }) {
      const ns = a.namespace('n');
      const lock = await ns.lock('/h');
      await ns.put('/elsewhere', 1, { hold: lock });
      await ns.put('/h', 1, { hold: { path: '/h', token: lock.token } });
      await failsWith('lost', () =>
        ns.put('/h', 2, { hold: { path: '/h', token: lock.token - 1 } }),
      );
      const proof = { path: lock.path, token: lock.token };
      await lock.release();
      await failsWith('lost', () => ns.put('/h', 3, { hold: proof }));
      const other = await b.namespace('n').lock('/h');
      await failsWith('lost', () => ns.put('/h', 4, { hold: proof }));
      same((await ns.get('/h'))?.value, 1, 'nothing of it was written');
      await other.release();
    },
  },
  {
    name: '[G5] guard: false writes past locks',
    async run({ a, b }) {
      const lock = await a.namespace('n').lock('/p');
      await b.namespace('n', { guard: false }).put('/p', 1);
      await failsWith('locked', () => b.namespace('n').put('/p', 2));
      await lock.release();
    },
  },
  {
    name: '[S3] lock.signal drives whatever takes an AbortSignal',
    async run({ a, b }) {
      const lock = await a.namespace('n').lock('/sig');
      const slept = sleep(60_000, undefined, { signal: lock.signal }).then(
        () => 'slept',
        (error: unknown) => (error as Error).name,
      );
      const fetched = fetch('http://127.0.0.1:9', { signal: AbortSignal.any([lock.signal]) }).then(
        () => 'fetched',
        () => 'ended',
      );
      await b.namespace('n').forceUnlock('/sig', { reason: 'test' });
      same(await soon('the sleep to end', slept), 'AbortError', 'timers/promises');
      same(await soon('the request to end', fetched), 'ended', 'fetch');
      holds(!lock.isHeld(), 'lost');
    },
  },
  {
    name: '[N8] prune spares what is young, leased or locked',
    async run({ a, b }) {
      const ns = a.namespace('n');
      for (const path of ['/p/old', '/p/locked', '/p/tree/x']) await ns.put(path, 1);
      const lease = await a.lease(30_000);
      await ns.put('/p/leased', 1, { lease });
      const one = await b.namespace('n').lock('/p/locked');
      const tree = await b.namespace('n').lock('/p/tree', { tree: true });
      same((await ns.prune('/p', { olderThanMs: 3_600_000 })).pruned, [], 'nothing is that old');
      same((await ns.prune('/p', { olderThanMs: 0 })).pruned, ['/p/old'], 'what nobody uses');
      await one.release();
      await tree.release();
      same(
        (await ns.prune('/p', { olderThanMs: 0 })).pruned,
        ['/p/locked', '/p/tree/x'],
        'once released',
      );
      await lease.release();
    },
  },
];
