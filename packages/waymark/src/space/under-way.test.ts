import { expect, test } from 'vitest';
import { FakeClock } from '../testing/index.js';
import { UnderWay } from './under-way.js';

/** Sends until it is full, and has all of it answered after a time. @returns how many blocks that were */
async function round(underWay: UnderWay, clock: FakeClock, tookMs: number, blockBytes = 1_000) {
  const watched: Promise<void>[] = [];
  const answers: (() => void)[] = [];
  while (!underWay.full) {
    const fills = underWay.fills(blockBytes);
    underWay.sent(blockBytes);
    expect(underWay.full).toBe(fills);
    watched.push(underWay.watch(new Promise<void>((resolve) => answers.push(resolve))));
  }
  clock.advance(tookMs);
  for (const answer of answers) answer();
  await Promise.all(watched);
  for (const _ of answers) underWay.taken(blockBytes);
  return answers.length;
}

test('[D3.5] more of a batch is under way while answers are quick, and less when they are slow', async () => {
  const clock = new FakeClock();
  const pace = UnderWay.newPace();
  const writes = UnderWay.ofWrites(clock, pace);
  const blocks: number[] = [];
  for (const tookMs of [20, 20, 20, 20, 20, 600, 600, 1_500, 600, 20, 20]) {
    blocks.push(await round(writes, clock, tookMs));
  }
  expect(blocks).toEqual([16, 32, 64, 128, 128, 128, 128, 128, 64, 64, 128]);
  expect(await round(UnderWay.ofWrites(clock, pace), clock, 20), 'the next batch').toBe(128);
});

test('[D3.5] of large blocks there are 16 MiB under way; of reads eight, and 4 MiB, however quick they are', async () => {
  const clock = new FakeClock();
  const writes = UnderWay.ofWrites(clock, { blocks: 100, slowAt: 0 });
  for (let i = 0; i < 5; i++) expect(await round(writes, clock, 1, 1_048_576)).toBe(16);
  const reads = UnderWay.ofReads(clock);
  for (let i = 0; i < 5; i++) expect(await round(reads, clock, 1)).toBe(8);
  expect(await round(reads, clock, 1, 1_048_576)).toBe(4);
});
