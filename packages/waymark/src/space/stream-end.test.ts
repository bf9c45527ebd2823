import { expect, test } from 'vitest';
import { systemClock, systemRandom } from '../core/system-clock.js';
import { createMemoryEngine } from '../engines/memory/memory-engine.js';
import { FakeClock } from '../testing/fake-clock.js';
import { deliver } from '../recipes/messages.js';
import { createLocalHost } from './local-host.js';
import { createSpace } from './space.js';

/** Lets time pass in small steps, and all that waits for it go on. */
async function pass(clock: FakeClock, ms: number): Promise<void> {
  for (let at = 0; at < ms; at += 500) {
    clock.advance(500);
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
}

test('[X16] who reads, writes or works slowly is not gone: on either side', async () => {
  const clock = new FakeClock();
  await using engine = createMemoryEngine({ clock });
  const host = createLocalHost(engine, { clock });
  await using space = createSpace(host, { clock, random: systemRandom, owner: 'test', engine });
  const group = space.namespace('n').members('/g');
  let go = (): void => {};
  const steps: string[] = [];
  await group.join({
    id: 'two',
    handleStream: async function* (stream) {
      await new Promise<void>((resolve) => (go = resolve));
      for await (const part of stream) {
        steps.push(String(part));
        for (let at = 0; at < 300; at++) yield at;
      }
      await new Promise<void>((resolve) => (go = resolve));
    },
  });
  const one = await group.join({ id: 'one' });
  let more = (): void => {};
  const parts = async function* (): AsyncGenerator<string> {
    yield 'first';
    await new Promise<void>((resolve) => (more = resolve));
    yield 'second';
  };
  const stream = one.sendStream<number>(parts(), { to: 'two', deadlineMs: 600_000 });
  await pass(clock, 30_000);
  expect(steps).toEqual([]);
  go();
  await pass(clock, 30_000);
  expect(steps).toEqual(['first']);
  const replies: number[] = [];
  for (let at = 0; at < 300; at++) replies.push((await stream.next()).value as number);
  await pass(clock, 30_000);
  more();
  await pass(clock, 30_000);
  for (let at = 0; at < 300; at++) replies.push((await stream.next()).value as number);
  expect(steps).toEqual(['first', 'second']);
  await pass(clock, 30_000);
  go();
  expect((await stream.next()).done).toBe(true);
  expect(replies).toEqual([...Array(300).keys(), ...Array(300).keys()]);
  expect((await stream.outcome).outcome).toBe('delivered');
});

test('[X14] who leads another term, or none, refuses a stream before its handler sees it', async () => {
  await using engine = createMemoryEngine();
  const host = createLocalHost(engine);
  const parts = { clock: systemClock, random: systemRandom, owner: 'test', engine };
  await using space = createSpace(host, parts);
  let seen = 0;
  const two = await space
    .namespace('n')
    .members('/g')
    .join({
      id: 'two',
      lead: true,
      handleStream: async function* () {
        seen++;
        yield 1;
      },
    });
  const { token } = await two.elected();
  const opening = (term: number, body = '1000') => {
    const to = {
      group: '/g',
      member: 'two',
      from: 'one',
      guest: false,
      kind: 'sendStream',
    } as const;
    return host.run(deliver, 'n', { ...to, term, body, deadlineMs: 1_000, relayed: false });
  };
  expect(await opening(token - 1)).toMatchObject({ outcome: 'refused', seen: false });
  expect(await opening(token, 'soon')).toMatchObject({ outcome: 'refused', seen: false });
  expect(seen).toBe(0);
  expect(await opening(token)).toMatchObject({ outcome: 'delivered' });
  expect(seen).toBe(1);
  await two.release();
});
