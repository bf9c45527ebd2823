import type { Namespace, WatchCall, WatchEvent } from '../../space/types.js';
import { failsWith, holds, same, soon } from './expect.js';
import type { RecipeCase } from './suite.js';

/** Reads a watch step by step. */
class Reader {
  readonly #events: AsyncIterableIterator<WatchEvent<unknown>>;

  constructor(ns: Namespace, path: string, call: WatchCall = {}) {
    this.#events = ns.watch(path, call);
  }

  async next(): Promise<WatchEvent<unknown>> {
    const step = await soon('an event', this.#events.next());
    if (step.done === true) throw new Error('the watch ended');
    return step.value;
  }

  async take(count: number): Promise<string[]> {
    const seen: string[] = [];
    while (seen.length < count) {
      const event = await this.next();
      seen.push(`${event.kind} ${event.path}`);
    }
    return seen;
  }

  async close(): Promise<void> {
    await this.#events.return?.(undefined);
  }
}

export const watchCases: readonly RecipeCase[] = [
  {
    name: '[N6] what is there, then changes; a tree hears what is below, a path itself alone',
    async run({ a, b }) {
      const ns = a.namespace('n');
      await ns.put('/o/1', 'there');
      const tree = new Reader(b.namespace('n'), '/o', { tree: true });
      const first = await tree.next();
      holds(
        first.kind === 'put' && first.initial && first.value === 'there',
        'what is there comes first',
      );
      const exact = new Reader(b.namespace('n'), '/o');
      await ns.put('/o/2', 1);
      await ns.put('/other', 1);
      await ns.put('/o', 'self');
      await ns.delete('/o/1');
      same(await tree.take(3), ['put /o/2', 'put /o', 'delete /o/1'], 'the tree, in order');
      same(await exact.take(1), ['put /o'], 'the path alone');
      await tree.close();
      await exact.close();
    },
  },
  {
    name: '[N6] lock, unlock and expire are events, with who and why',
    async run({ a, b }) {
      const ns = a.namespace('n');
      const watch = new Reader(b.namespace('n'), '/l', {
        tree: true,
        after: (await b.status()).revision,
      });
      const lock = await ns.lock('/l/x', { owner: 'worker-7' });
      const taken = await watch.next();
      holds(taken.kind === 'lock' && taken.path === '/l/x', 'the lock is told');
      same(
        taken.lock,
        { token: lock.token, tree: false, mode: 'exclusive', owner: 'worker-7' },
        'whose it is',
      );
      await lock.release();
      const freed = await watch.next();
      holds(
        freed.kind === 'unlock' && !freed.expired && freed.lock.owner === 'worker-7',
        'released',
      );
      const lease = await a.lease(5_000);
      await ns.put('/l/leased', 1, { lease });
      await lease.release();
      same(
        await watch.take(2),
        ['put /l/leased', 'expire /l/leased'],
        'the end of a lease is told apart',
      );
      await watch.close();
    },
  },
  {
    name: '[N6] resumes after a revision without a gap, whole revisions, with the value before',
    async run({ a, b }) {
      const ns = a.namespace('n');
      const { revision } = await ns.put('/r/a', 1);
      await ns.put('/r/a', 2);
      await ns.txn({
        apply: [
          { put: '/r/b', value: 1 },
          { put: '/r/c', value: 1 },
        ],
      });
      await ns.delete('/r/a');
      const watch = new Reader(b.namespace('n'), '/r', {
        tree: true,
        after: revision,
        previous: true,
      });
      const second = await watch.next();
      holds(
        second.kind === 'put' && second.value === 2 && second.previous?.value === 1,
        'the value before',
      );
      same(
        await watch.take(3),
        ['put /r/b', 'put /r/c', 'delete /r/a'],
        'the rest, once, in order',
      );
      await watch.close();
    },
  },
  {
    name: '[K9] resuming above the present is refused',
    async run({ a }) {
      const watch = new Reader(a.namespace('n'), '/', { after: 1_000_000 });
      await failsWith('future_revision', () => watch.next());
    },
  },
  {
    name: '[N6] ends by its signal, with its reason',
    async run({ a }) {
      const stop = new AbortController();
      const events = a.namespace('n').watch('/', { tree: true, signal: stop.signal });
      const next = events.next();
      const why = new Error('enough');
      stop.abort(why);
      const reason = await next.then(
        () => null,
        (error: unknown) => error,
      );
      same(reason, why, 'the reason of the signal');
    },
  },
  {
    name: '[N10] removing a namespace ends its watches and its holds',
    async run({ a, b }) {
      const ns = a.namespace('gone');
      await ns.put('/x', 1);
      const lock = await ns.lock('/l');
      const watch = new Reader(a.namespace('gone'), '/', { tree: true });
      await watch.take(2);
      const lost = new Promise((resolve) =>
        lock.signal.addEventListener('abort', resolve, { once: true }),
      );
      await b.removeNamespace('gone');
      await soon('the hold to be lost', lost);
      same(lock.isHeld(), false, 'no longer held');
      await failsWith('superseded', async () => {
        for (;;) await watch.next();
      });
      same((await b.namespaces()).includes('gone'), false, 'nothing is left');
    },
  },
];
