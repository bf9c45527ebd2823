import { expect, test } from 'vitest';
import { systemRandom } from '../core/system-clock.js';
import { FakeClock } from '../testing/fake-clock.js';
import { type Channel, Channels, lingerMs, waitMsMax } from './channel.js';
import { Pipe, type PipeEnd } from './pipe.js';

const done: PipeEnd = { how: 'done', why: '' };

function opened(deadlineMs = 60_000): { channels: Channels; clock: FakeClock; channel: Channel } {
  const clock = new FakeClock();
  const channels = new Channels(clock, systemRandom);
  const channel = channels.get(channels.open('m', deadlineMs));
  if (channel === undefined) throw new Error('it was just opened');
  return { channels, clock, channel };
}

function parts(...of: string[]): { first: number; parts: string[]; end: PipeEnd | null } {
  return { first: 0, parts: of, end: null };
}

/** Lets what waits on promises alone go on. */
async function turns(): Promise<void> {
  for (let at = 0; at < 20; at++) await Promise.resolve();
}

test('[X16] a push that is repeated adds what is new, a pull that is repeated gives the same', async () => {
  const clock = new FakeClock();
  const pipe = new Pipe();
  const wait = { clock, ms: 1_000 };
  expect(await pipe.push(0, ['a', 'b'], null, wait)).toMatchObject({ next: 2 });
  expect(await pipe.push(0, ['a', 'b', 'c'], null, wait)).toMatchObject({ next: 3 });
  expect(await pipe.push(1, ['b'], null, wait)).toMatchObject({ next: 3 });
  await expect(pipe.push(4, ['e'], null, wait)).rejects.toMatchObject({ code: 'invalid' });
  for (let times = 0; times < 2; times++) {
    expect(await pipe.pull(0, 0, wait)).toEqual({ parts: ['a', 'b', 'c'], end: null });
  }
  expect(await pipe.pull(1, 2, wait)).toEqual({ parts: ['c'], end: null });
  expect(await pipe.pull(1, 1, wait)).toEqual({ parts: ['b', 'c'], end: null });
  expect(await pipe.push(3, ['d'], done, wait)).toEqual({ next: 4, ended: true, cut: null });
  expect(await pipe.push(3, ['d'], done, wait)).toEqual({ next: 4, ended: true, cut: null });
  for (let times = 0; times < 2; times++) {
    expect(await pipe.pull(3, 3, wait)).toEqual({ parts: ['d'], end: done });
  }
});

test('[X11] a full pipe takes nothing until something of it was read, and says so in time', async () => {
  const clock = new FakeClock();
  const pipe = new Pipe();
  const wait = { clock, ms: waitMsMax };
  const some = Array.from({ length: 256 }, (_, at) => String(at));
  expect(await pipe.push(0, some, null, wait)).toMatchObject({ next: 256 });
  const refused = pipe.push(256, ['x'], null, wait);
  await turns();
  clock.advance(waitMsMax);
  expect(await refused).toMatchObject({ next: 256 });
  const first = pipe.push(256, ['x'], null, wait);
  await turns();
  const again = pipe.push(256, ['x'], null, wait);
  expect(await first).toMatchObject({ next: 256 });
  await pipe.pull(1, 256, { clock, ms: 0 });
  expect(await again).toMatchObject({ next: 257 });
  const large = new Pipe();
  await large.push(0, ['x'.repeat(1_048_576)], null, wait);
  const more = large.push(1, ['y'], null, wait);
  await turns();
  clock.advance(waitMsMax);
  expect(await more).toMatchObject({ next: 1 });
});

test.each(['sender', 'member'] as const)(
  '[X16] a %s that has not called for a while is gone: the other is told, and the channel is forgotten',
  async (silent) => {
    const { channels, clock, channel } = opened();
    const other = silent === 'sender' ? 'member' : 'sender';
    const id = channels.open('m', 60_000);
    expect(channels.get(id)).toBeDefined();
    const calls = { done: 0, from: 0, waitMs: 0 };
    for (let ms = 0; ms < lingerMs - 1_000; ms += 1_000) {
      clock.advance(1_000);
      expect(await channel.pull(other, calls, undefined)).toEqual({ parts: [], end: null });
    }
    const waiting = channel.pull(other, { ...calls, waitMs: waitMsMax }, undefined);
    await turns();
    clock.advance(1_000);
    expect(await waiting).toEqual({
      parts: [],
      end: { how: 'lost', why: `its ${silent} is gone` },
    });
    expect(await channel.push(other, parts('x'), undefined)).toMatchObject({
      cut: { how: 'lost' },
    });
    clock.advance(lingerMs);
    // Neither of the other one's ends has ever called.
    expect(channels.get(id)).toBeUndefined();
  },
);

test('[X13] a stream ends at its host when its deadline passes, whoever still calls', async () => {
  const { clock, channel } = opened(1_000);
  const calls = { done: 0, from: 0, waitMs: waitMsMax };
  const both = [channel.pull('sender', calls, undefined), channel.pull('member', calls, undefined)];
  await turns();
  clock.advance(1_000);
  for (const pulled of await Promise.all(both)) expect(pulled.end?.how).toBe('timeout');
});

test('[X14] a channel that is over makes room at once, and once', async () => {
  const clock = new FakeClock();
  const channels = new Channels(clock, systemRandom);
  const ids = Array.from({ length: 100 }, () => channels.open('m', 60_000));
  expect(() => channels.open('m', 60_000)).toThrow(
    expect.objectContaining({ code: 'overloaded' }) as Error,
  );
  channels.open('another', 60_000);
  const [id = ''] = ids;
  const channel = channels.get(id);
  const end = { first: 0, parts: ['reply'], end: done };
  expect(await channel?.push('member', end, undefined)).toMatchObject({ ended: true });
  expect(await channel?.push('sender', parts('late'), undefined)).toMatchObject({
    cut: { how: 'lost' },
  });
  const read = { done: 0, from: 0, waitMs: 0 };
  expect(await channel?.pull('sender', read, undefined)).toEqual({ parts: ['reply'], end: done });
  expect(channels.get(id)).toBe(channel);
  await channel?.pull('sender', { done: 2, from: 2, waitMs: 0 }, undefined);
  expect(channels.get(id)).toBeUndefined();
  await channel?.push('member', end, undefined);
  channels.open('m', 60_000);
  expect(() => channels.open('m', 60_000)).toThrow('100 streams');
});
