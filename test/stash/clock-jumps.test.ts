import { expect, test } from 'vitest';
import { FakeClock } from 'waymark/testing';
import { StashBed } from './support/bed.js';
import { MemoryNode } from './support/memory-node.js';

const hourMs = 3_600_000;
const refused = { code: 'invalid' };

/** A coordinator whose clock, and that of some nodes, may jump. */
async function opened(jumping: readonly number[]) {
  const bed = await StashBed.open({ nodes: 3 });
  const jump = { aheadMs: 0 };
  const clock = Object.assign(new FakeClock(), {
    wallNow: () => bed.clock.wallNow() + jump.aheadMs,
  });
  for (const at of jumping) bed.nodes[at] = new MemoryNode(clock);
  const on = bed.space(bed.coordinator({ clock })).stash.index<string>('some');
  const other = bed.space().stash.index<string>('some');
  return { bed, jump, on, other };
}

test('[D2.3] a coordinator whose clock was ahead for a moment writes again once it is right', async () => {
  const { bed, jump, on, other } = await opened([]);
  await using _ = bed;
  await on.put('k', 'before');
  jump.aheadMs = hourMs;
  for (const key of ['k', 'l']) await expect(on.put(key, 'ahead')).rejects.toMatchObject(refused);
  jump.aheadMs = 0;
  expect(await other.put('k', 'meanwhile')).toMatchObject({ flushed: 2 });
  await on.put('k', 'after');
  await on.put('l', 'after');
  expect(await other.getMany(['k', 'l'])).toEqual(['after', 'after']);
});

test('[D2.3] what the node beside it took meanwhile is in the way of that key alone', async () => {
  const { bed, jump, on, other } = await opened([0]);
  await using _ = bed;
  jump.aheadMs = hourMs;
  await expect(on.put('k', 'ahead')).rejects.toMatchObject({ code: 'uncertain' });
  jump.aheadMs = 0;
  await on.put('l', 'after');
  expect(await other.get('l')).toBe('after');
});

test('[D2.3] a clock that is set back while all nodes keep what they took by it stops one write, and is told of keys written before', async () => {
  const { bed, jump, on } = await opened([0, 1, 2]);
  await using _ = bed;
  jump.aheadMs = hourMs;
  await on.put('k', 'ahead');
  jump.aheadMs = 0;
  await expect(on.put('l', 'after')).rejects.toMatchObject(refused);
  await on.put('l', 'after');
  // Not acknowledged, since what is read is the other one.
  await expect(on.put('k', 'after')).rejects.toThrow(/ahead of this node's clock/);
  expect(await on.getMany(['k', 'l'])).toEqual(['ahead', 'after']);
  bed.clock.advance(hourMs);
  await on.put('k', 'later');
  expect(await on.get('k')).toBe('later');
});
