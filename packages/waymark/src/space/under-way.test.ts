import { expect, test } from 'vitest';
import { FakeClock } from '../testing/index.js';
import { UnderWay } from './under-way.js';

/** Sends until it is full, and has all of it answered after a time. @returns how many blocks that were */
async function round(underWay: UnderWay, clock: FakeClock, tookMs: number, blockBytes = 1_000) {
  const watched: Promise<void>[] = [];
  const answers: (() => void)[] = [];
  while (!underWay.full) {
    underWay.sent(blockBytes);
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
  const writes = UnderWay.ofWrites(clock);
  const blocks: number[] = [];
  for (const tookMs of [20, 20, 20, 20, 600, 600, 1_500, 600, 20, 20]) {
    blocks.push(await round(writes, clock, tookMs));
  }
  expect(blocks).toEqual([8, 16, 32, 64, 64, 64, 64, 4, 4, 8]);
});

test('[D3.5] of large blocks there are 4 MiB under way; of reads eight blocks, however quick they are', async () => {
  const clock = new FakeClock();
  const writes = UnderWay.ofWrites(clock);
  for (let i = 0; i < 5; i++) expect(await round(writes, clock, 1, 1_048_576)).toBe(4);
  const reads = UnderWay.ofReads(clock);
  for (let i = 0; i < 5; i++) expect(await round(reads, clock, 1)).toBe(8);
});
