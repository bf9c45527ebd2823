import { expect, test } from 'vitest';
import { frameHeaderBytes } from '../frames.js';
import type { Reader } from '../reader.js';
import { Intake } from './intake.js';

const messageBytes = 20;

/** A frame of messages, each its number and padding. */
function frame(first: number, count: number): Buffer {
  const bytes = Buffer.alloc(frameHeaderBytes + count * messageBytes);
  bytes.writeUInt32BE(count * messageBytes);
  for (let i = 0; i < count; i++) bytes[frameHeaderBytes + i * messageBytes] = first + i;
  return bytes;
}

/** An intake, what it has handled, and its next turn. */
function begin({ weight = 1, answering = true } = {}) {
  const handled: number[] = [];
  const turns: (() => void)[] = [];
  const clock = {
    now: () => 0,
    wallNow: () => 0,
    after: () => () => undefined,
    nextTurn: (task: () => void) => void turns.push(task),
  };
  const intake = new Intake(clock, false, {
    message: (reader: Reader) => {
      handled.push(reader.byte());
      for (let i = 1; i < messageBytes; i++) reader.byte();
      return weight;
    },
    answering: () => answering,
    failed: (error) => expect.fail(String(error)),
  });
  return { intake, handled, turn: () => turns.shift()?.() };
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

test.each([
  { came: 7, weight: 1, slices: [7] },
  { came: 9, weight: 1, slices: [9] },
  { came: 16, weight: 1, slices: [8, 16] },
  { came: 33, weight: 1, slices: [17, 33] },
  { came: 100, weight: 1, slices: [50, 100] },
  { came: 200, weight: 1, slices: [64, 128, 192, 200] },
  { came: 16, weight: 8, slices: [8, 16] },
  { came: 40, weight: 8, slices: [8, 16, 24, 32, 40] },
])('$came messages of weight $weight that come together', ({ came, weight, slices }) => {
  const { intake, handled, turn } = begin({ weight });
  intake.push(frame(0, came));
  for (const slice of slices) {
    expect(handled).toEqual(upTo(slice));
    turn();
  }
  expect(handled).toEqual(upTo(came));
});

test('what waits for a disk is handled together, so that it is flushed together', () => {
  const { intake, handled, turn } = begin({ answering: false });
  intake.push(frame(0, 33));
  expect(handled).toEqual(upTo(33));
  intake.push(frame(33, 100));
  expect(handled).toEqual(upTo(33 + 64));
  turn();
  expect(handled).toEqual(upTo(133));
});

test('frames that come together are one burst, and what comes meanwhile keeps its order', () => {
  const { intake, handled, turn } = begin();
  intake.push(Buffer.concat([frame(0, 8), frame(8, 8)]));
  expect(handled).toEqual(upTo(8));
  intake.push(frame(16, 20));
  expect(handled).toEqual(upTo(8));
  turn();
  expect(handled).toEqual(upTo(36));
  intake.push(frame(36, 20));
  expect(handled).toEqual(upTo(46));
  turn();
  expect(handled).toEqual(upTo(56));
});
