import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { type Space, WaymarkError } from 'waymark';
import {
  type Clock,
  createLocalHost,
  createMemoryEngine,
  createSpace,
  type Engine,
  ForwardingEngine,
  systemClock,
  systemRandom,
} from 'waymark/engine';
import { FakeClock } from 'waymark/testing';

/** How permits end with the process that held them; on a clock that stands still until it is moved. */

function spaceOf(engine: Engine, clock: Clock, owner: string, dead?: AbortSignal): Space {
  const mortal: Clock = {
    now: () => clock.now(),
    wallNow: () => clock.wallNow(),
    after: (delayMs, task) => clock.after(delayMs, () => void (dead?.aborted === true || task())),
    nextTurn: (task) => clock.nextTurn(task),
  };
  const host = createLocalHost(engine, { clock });
  return createSpace(host, { clock: mortal, random: systemRandom, owner });
}

async function advance(clock: FakeClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 10) {
    clock.advance(10);
    await turn();
  }
}

test('[P9] a process that is gone holds until its lease ends, and no longer; one of the same name does not inherit', async () => {
  const clock = new FakeClock();
  await using engine = createMemoryEngine({ clock });
  const death = new AbortController();
  const before = spaceOf(engine, clock, 'host:8080', death.signal);
  const permit = await before
    .namespace('n')
    .semaphore('/pool', { limit: 1 })
    .acquire({ ttlMs: 5_000 });
  await advance(clock, 20_000);
  expect(permit.isHeld(), 'renewed').toBe(true);
  death.abort();
  const diedAt = clock.now();

  const again = spaceOf(engine, clock, 'host:8080').namespace('n').semaphore('/pool');
  expect(await again.tryAcquire(), 'it is not the process that held').toBeNull();
  let grantedAt = 0;
  const next = again.acquire().then((granted) => {
    grantedAt = clock.now();
    return granted;
  });
  let lostAt = 0;
  while (grantedAt === 0 && clock.now() < diedAt + 60_000) {
    await advance(clock, 10);
    if (lostAt === 0 && !permit.isHeld()) lostAt = clock.now();
  }
  expect((await next).token).toBeGreaterThan(permit.token);
  expect(grantedAt - diedAt, 'back within the TTL').toBeLessThanOrEqual(5_000 + 20);
  expect(lostAt, 'the one before knows of it first').toBeLessThan(grantedAt);
});

test('[P9] permits of one process end together, in one step', async () => {
  const clock = new FakeClock();
  await using engine = createMemoryEngine({ clock });
  const death = new AbortController();
  const dying = spaceOf(engine, clock, 'dying', death.signal)
    .namespace('n')
    .semaphore('/pool', { limit: 5 });
  await dying.acquire({ weight: 2, ttlMs: 2_000 });
  await dying.acquire({ weight: 3, ttlMs: 2_000 });
  death.abort();
  const other = spaceOf(engine, clock, 'other').namespace('n').semaphore('/pool');
  const all = other.acquire({ weight: 5 });
  await advance(clock, 2_100);
  expect((await all).weight).toBe(5);
  expect(await other.status()).toMatchObject({ used: 5, holding: 1 });
});

test('[P10] a release that does not reach the engine is told', async () => {
  const broken = new (class extends ForwardingEngine {
    cut = false;
    override commit(...args: Parameters<Engine['commit']>): ReturnType<Engine['commit']> {
      if (this.cut) return Promise.reject(new WaymarkError('unavailable', 'cut off'));
      return super.commit(...args);
    }
  })(createMemoryEngine());
  const space = spaceOf(broken, systemClock, 'one');
  const permit = await space.namespace('n').semaphore('/pool', { limit: 1 }).acquire();
  broken.cut = true;
  await expect(permit.release()).rejects.toMatchObject({ code: 'unavailable' });
  broken.cut = false;
  await space.close();
  await broken[Symbol.asyncDispose]();
});
