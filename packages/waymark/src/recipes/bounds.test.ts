import { expect, test } from 'vitest';
import { limits } from '../core/limits.js';
import { systemRandom } from '../core/system-clock.js';
import { FakeClock } from '../testing/fake-clock.js';
import { Channels } from './channel.js';
import { Inbox } from './inbox.js';
import { Pipe } from './pipe.js';

const clock = new FakeClock();
const patience = { deadlineMs: 60_000 };

function inbox(): { readonly box: Inbox; readonly send: (bytes: number) => Promise<unknown> } {
  let id = 0;
  const box = new Inbox(
    clock,
    1,
    () => id++,
    () => {},
  );
  const message = { from: 'me', guest: false, kind: 'message', term: 0 } as const;
  const send = (bytes: number): Promise<unknown> =>
    box.send({ ...message, body: 'x'.repeat(bytes) } as never, patience);
  return { box, send };
}

/** Whether it was answered at once: what is taken waits for an answer. */
async function isRefused(sent: Promise<unknown>): Promise<boolean> {
  const none = Symbol('none');
  const first = await Promise.race([sent, Promise.resolve().then(() => none)]);
  return first !== none && (first as { outcome: string }).outcome === 'refused';
}

test('[limits] inboxMessagesMax: the last message is kept, one more is refused', async () => {
  const { send } = inbox();
  const refused = [];
  for (let n = 0; n < limits.inboxMessagesMax; n++) refused.push(isRefused(send(1)));
  expect((await Promise.all(refused)).filter(Boolean)).toEqual([]);
  expect(await isRefused(send(1))).toBe(true);
});

test('[limits] inboxBytesMax: the last byte is kept, one more is refused', async () => {
  const { send } = inbox();
  const { inboxBytesMax: max } = limits;
  expect(await isRefused(send(max - 2))).toBe(false);
  expect(await isRefused(send(1))).toBe(false);
  expect(await isRefused(send(2))).toBe(true);
  expect(await isRefused(send(1))).toBe(false);
  expect(await isRefused(send(1))).toBe(true);
});

test('[limits] streamsMax: the last stream of a member is opened, one more is overloaded, another member has its own', () => {
  const channels = new Channels(clock, systemRandom);
  const { streamsMax: max } = limits;
  for (let n = 0; n < max; n++) channels.open('a', 1_000);
  expect(() => channels.open('a', 1_000)).toThrow(
    expect.objectContaining({
      code: 'overloaded',
      facts: { limit: 'streamsMax', max, actual: max + 1 },
    }),
  );
  channels.open('b', 1_000);
});

test.each([
  ['streamPartsMax', limits.streamPartsMax, 'x'],
  ['streamBytesMax', 2, 'x'.repeat(limits.streamBytesMax / 2)],
])(
  '[limits] %s: a pipe takes so much before it is read, and then waits',
  async (_name, count, part) => {
    const pipe = new Pipe();
    const push = async (first: number): Promise<number> => {
      const pushed = pipe.push(first, [part], null, { clock, ms: 1_000, signal: undefined });
      clock.advance(1_001);
      return (await pushed).next;
    };
    for (let n = 0; n < count; n++) expect(await push(n)).toBe(n + 1);
    expect(await push(count), 'it is not taken').toBe(count);
  },
);
