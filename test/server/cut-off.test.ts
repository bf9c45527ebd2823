import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Served, serve } from './served.js';

/** Requests for holds whose client goes away while they wait. */

let served: Served;
beforeAll(async () => {
  served = await serve();
});
afterAll(async () => await served[Symbol.asyncDispose]());

const call: Served['call'] = (...args) => served.call(...args);

async function lease(): Promise<number> {
  return Number((await call('POST', '/v1/leases', { body: { ttlMs: 60_000 } })).json['id']);
}

interface Waited {
  /** In the body of a request beside `lease`, `waitMs` and `id`. */
  readonly says?: object;
  /** Who stands there. */
  readonly waiting: (state: Record<string, unknown>) => readonly unknown[];
  readonly token: string;
}

const party = (state: Record<string, unknown>): readonly unknown[] =>
  state['waiters'] as readonly unknown[];

const recipes: Readonly<Record<string, Waited>> = {
  locks: { waiting: party, token: 'token' },
  semaphores: { says: { limit: 1 }, waiting: party, token: 'token' },
  elections: {
    waiting: (state) => state['candidates'] as readonly unknown[],
    token: 'term',
  },
};

test.each(Object.keys(recipes))(
  '[L6] %s: who is cut off under a lease and an id of its own finds its place again, and one without an id leaves none',
  async (kind) => {
    const { says, waiting, token } = recipes[kind] as Waited;
    const url = `/v1/ns/c/${kind}/cut`;
    const waiters = async () => waiting((await call('GET', url)).json).length;
    const ask = (body: object) => call('POST', url, { body: { ...says, ...body } });
    const cutOff = async (body: object): Promise<void> => {
      const cut = new AbortController();
      const before = await waiters();
      const asked = fetch(served.base + url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ ...says, waitMs: 60_000, ...body }),
        signal: cut.signal,
      });
      await expect.poll(waiters).toBe(before + 1);
      cut.abort();
      await expect(asked).rejects.toThrow();
    };
    const [first, second, mine, unnamed] = [
      await lease(),
      await lease(),
      await lease(),
      await lease(),
    ];
    const held = (await ask({ lease: first, id: 'first' })).json;

    await cutOff({ lease: mine, id: 'mine' });
    await cutOff({ lease: unnamed });
    await expect.poll(waiters).toBe(1);
    const behind = ask({ lease: second, id: 'second', waitMs: 60_000 });
    await expect.poll(waiters).toBe(2);
    const again = ask({ lease: mine, id: 'mine', waitMs: 60_000 });
    expect((await call('DELETE', `${url}?id=first`)).json).toEqual({ released: true });
    const turn = (await again).json;
    expect(Number(turn[token])).toBeGreaterThan(Number(held[token]));
    await call('DELETE', `${url}?id=mine`);
    expect(Number((await behind).json[token])).toBeGreaterThan(Number(turn[token]));

    // A turn that comes while nobody listens waits for who asked.
    await cutOff({ lease: mine, id: 'later' });
    await call('DELETE', `${url}?id=second`);
    const late = (await ask({ lease: mine, id: 'later', waitMs: 60_000 })).json;
    expect(Number(late[token])).toBeGreaterThan(Number(turn[token]));
    await call('DELETE', `${url}?id=later`);
    expect(await waiters()).toBe(0);
  },
);
