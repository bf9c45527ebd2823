import { expect, test } from 'vitest';
import { open, type Space } from 'waymark';
import { sized } from '../faults/random.js';
import { startEtcd } from '../support/etcd.js';
import { freePort } from '../support/free-port.js';
import { Restartable } from './restartable.js';

const rounds = sized(3, 20);
const clients = 6;
const writersEach = 2;

/** What one client did, until it is told to stop. */
interface Work {
  readonly failures: unknown[];
  readonly written: number[];
  readonly lost: unknown[];
  sections: number;
  done: Promise<unknown>;
}

function work(space: Space, client: number, going: () => boolean): Work {
  const ns = space.namespace('n');
  const told: Work = { failures: [], written: [], lost: [], sections: 0, done: Promise.resolve() };
  const attempt = async (act: () => Promise<void>): Promise<void> => {
    while (going()) await act().catch((error: unknown) => void told.failures.push(error));
  };
  let next = client * 1_000_000 + 1;
  const writers = Array.from({ length: writersEach }, (_, n) =>
    attempt(async () => {
      const value = next++;
      await ns.put(`/load/${client}-${n}`, value);
      told.written.push(value);
    }),
  );
  // All clients hand one lock around, and count under it.
  const section = attempt(async () => {
    await using lock = await ns.lock('/section', { ttlMs: 10_000 });
    const count = (await ns.get('/count'))?.value as number | undefined;
    await ns.put('/count', (count ?? 0) + 1, { hold: lock });
    told.sections++;
  });
  const keep = async (): Promise<void> => {
    await using lock = await ns.lock(`/kept/${client}`, { ttlMs: 5_000 });
    lock.signal.addEventListener('abort', () => told.lost.push(lock.signal.reason));
    await Promise.all([...writers, section]);
    if (!lock.isHeld()) told.lost.push(`client ${client}`);
  };
  told.done = keep();
  return told;
}

/** All that a watch tells, until it has told the last value. */
async function follow(space: Space, seen: number[]): Promise<void> {
  for await (const event of space.namespace('n').watch('/load', { tree: true })) {
    if (event.kind !== 'put') continue;
    if (event.value === -1) return;
    seen.push(event.value as number);
  }
}

test(
  `[stop] three servers restarted ${rounds} times each under load: no call fails, no hold is lost, no watch misses anything`,
  async () => {
    const etcd = await startEtcd();
    const servers: Restartable[] = [];
    for (let n = 0; n < 3; n++)
      servers.push(new Restartable(await freePort(), `etcd://${etcd.address}/rolling`));
    const spaces: Space[] = [];
    let going = true;
    try {
      await Promise.all(servers.map((server) => server.start()));
      const urls = servers.map(({ url }) => url).join(',');
      for (let n = 0; n < clients; n++) spaces.push(await open(urls, { owner: `client ${n}` }));
      const [first] = spaces as [Space];
      const seen: number[] = [];
      const following = follow(first, seen);
      await first.namespace('n').put('/load/begun', 0);
      const works = spaces.map((space, n) => work(space, n, () => going));
      const sections = (): number => works.reduce((sum, one) => sum + one.sections, 0);
      const restarted = async (server: Restartable): Promise<void> => {
        const before = sections();
        await server.stop();
        await server.start();
        // The lock goes around with it away and back before the next one goes.
        const late = performance.now() + 60_000;
        while (sections() < before + clients) {
          expect(performance.now(), 'the lock goes around').toBeLessThan(late);
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      };
      for (let round = 0; round < rounds; round++)
        for (const server of servers) await restarted(server);
      going = false;
      await Promise.all(works.map(({ done }) => done));
      await first.namespace('n').put('/load/over', -1);
      await following;
      const written = works.flatMap((one) => one.written);
      const told = new Set(seen);
      const slowest = Math.max(...servers.flatMap(({ stops }) => stops));
      console.log(
        `rolling: ${3 * rounds} restarts, ${written.length} writes, ${sections()} sections; the slowest stop took ${Math.round(slowest)} ms`,
      );
      expect(works.flatMap(({ failures }) => failures)).toEqual([]);
      expect(works.flatMap(({ lost }) => lost)).toEqual([]);
      expect((await first.namespace('n').get('/count'))?.value).toBe(sections());
      expect(written.filter((value) => !told.has(value))).toEqual([]);
      expect(told.size, 'nothing is told twice').toBe(seen.length);
      expect(slowest).toBeLessThan(10_000);
    } finally {
      // Who goes on asking a space that is closed leaves no turn for anything else.
      going = false;
      for (const space of spaces) await space.close();
      for (const server of servers) await server.kill();
      await etcd.stop();
    }
  },
  sized(600_000, 3_600_000),
);
