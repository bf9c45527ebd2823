import { expect, test } from 'vitest';
import { systemRandom } from '../core/system-clock.js';
import { FakeClock } from '../testing/fake-clock.js';
import type { Outgoing } from './outgoing.js';
import { Switchboard } from './switchboard.js';

const longMs = 60_000;

function outgoing(body: string): Outgoing {
  return { from: 'me', guest: false, kind: 'send', term: undefined, body };
}

function opened(): {
  board: Switchboard;
  clock: FakeClock;
  send: (body: string) => Promise<unknown>;
} {
  const clock = new FakeClock();
  const board = new Switchboard(clock, systemRandom);
  board.open('m', 1, () => new Promise(() => {}));
  const send = async (body: string): Promise<unknown> =>
    board.send('m', outgoing(body), { deadlineMs: longMs });
  return { board, clock, send };
}

test('[X4] who asks no more may still answer what it was handed, for as long as that is waited for; what was not is refused', async () => {
  const { board, clock, send } = opened();
  const slow = send('slow');
  const [message] = await board.take('m', 1, undefined);
  const queued = send('queued');
  clock.advance(20_000);
  expect(await queued).toMatchObject({ outcome: 'refused', seen: false });
  expect(await send('late')).toBe(null);
  const answer = { id: message?.id ?? 0, taken: true, seen: true, body: 'done', why: '' };
  expect(board.answer('m', 1, [answer])).toBe(true);
  expect(await slow).toMatchObject({ outcome: 'delivered', body: 'done' });
  expect(board.isOpen('m', 1)).toBe(false);
});

test('[X5] an inbox that nobody asks for is gone once what was handed out is late', async () => {
  const { board, clock, send } = opened();
  const slow = send('slow');
  await board.take('m', 1, undefined);
  clock.advance(20_000);
  expect(board.isOpen('m', 1)).toBe(true);
  clock.advance(longMs);
  expect(await slow).toMatchObject({ outcome: 'unknown', seen: true });
  expect(board.isOpen('m', 1)).toBe(false);
});

test('[X4] who asks again in time takes messages as before', async () => {
  const { board, clock, send } = opened();
  const slow = send('slow');
  await board.take('m', 1, undefined);
  clock.advance(20_000);
  const taking = board.take('m', 1, undefined);
  void send('next');
  expect((await taking).map(({ body }) => body)).toEqual(['next']);
  clock.advance(longMs);
  expect(await slow).toMatchObject({ outcome: 'unknown' });
});
