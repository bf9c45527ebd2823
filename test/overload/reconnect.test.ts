import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Lock, open, type Space } from 'waymark';
import { sized } from '../faults/random.js';
import { freePort } from '../support/free-port.js';
import { Restartable } from './restartable.js';

const clients = sized(1_000, 10_000);
const ttlMs = sized(30_000, 120_000);

interface Client {
  readonly space: Space;
  readonly lock: Lock;
}

async function client(url: string, n: number): Promise<Client> {
  const space = await open(url, { owner: `client ${n}` });
  return { space, lock: await space.namespace('n').lock(`/held/${n}`, { ttlMs }) };
}

/** A hundred at a time. */
async function each<T>(count: number, act: (n: number) => Promise<T>): Promise<T[]> {
  const done: T[] = [];
  while (done.length < count) {
    const some = Math.min(100, count - done.length);
    done.push(...(await Promise.all(Array.from({ length: some }, (_, n) => act(done.length + n)))));
  }
  return done;
}

test(`[limits] a server is killed under ${clients} clients, and all come back at once: no lock is lost`, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'waymark-reconnect-'));
  const server = new Restartable(await freePort(), `file:${directory}/data`);
  await server.start();
  const all = await each(clients, (n) => client(server.url, n));
  try {
    await server.kill();
    const began = performance.now();
    await server.start();
    const upMs = performance.now() - began;
    // Each writes under its lock as soon as it is back.
    const back = await Promise.all(
      all.map(async ({ space, lock }, n) => {
        await space.namespace('n').put(`/held/${n}`, n, { hold: lock });
        return performance.now() - began - upMs;
      }),
    );
    const lastMs = Math.max(...back);
    console.log(
      `reconnect: ${clients} clients back within ${Math.round(lastMs)} ms of a server that took ${Math.round(upMs)} ms to start`,
    );
    expect(all.filter(({ lock }) => !lock.isHeld() || lock.signal.aborted).length).toBe(0);
    // Nobody else could have had any of them meanwhile.
    const witness = all[0]?.space.namespace('n');
    const { entries, more } = (await witness?.tree('/held', { limit: 1_000 })) ?? {};
    expect([entries?.length, more]).toEqual([1_000, clients > 1_000]);
  } finally {
    await each(clients, async (n) => await all[n]?.space.close());
    await server.stop();
    await rm(directory, { recursive: true });
  }
});
