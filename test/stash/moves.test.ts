import { expect, test, vi } from 'vitest';
import { advanceMove, beginMove, type Known, tellMove, ViewWatch } from 'waymark/stash';
import { StashBed } from './support/bed.js';
import type { MemoryNode } from './support/memory-node.js';

/** One copy, which moves from the first node to the second. */
async function moving() {
  const bed = await StashBed.open({ nodes: 1, replicas: 1 });
  const on = bed.space().stash.index<string>('some');
  await on.put('before', 'v');
  const second = await bed.add();
  const begun = await beginMove(bed.engine, () => [bed.placed(1)]);
  const [first] = bed.nodes as [MemoryNode];
  first.epoch = second.epoch = begun.view.epoch;
  return { bed, on, first, second };
}

test('[D6.2] while data moves a write is on both sides before it is acknowledged, and reads go to who kept it so far', async () => {
  const { bed, on, first, second } = await moving();
  await using _ = bed;
  expect(await on.put('k', 'v')).toEqual({ replicas: 1, flushed: 1 });
  expect([first, second].map((node) => node.peek('some', 'k')?.stamp)).toEqual([
    expect.any(Number),
    first.peek('some', 'k')?.stamp,
  ]);
  const before = second.calls.read + second.calls.versions;
  expect(await on.getMany(['k', 'before'])).toEqual(['v', 'v']);
  expect(second.calls.read + second.calls.versions).toBe(before);
  second.down = true;
  await expect(on.put('k', 'w')).rejects.toMatchObject({ code: 'uncertain' });
  second.down = false;
  first.down = true;
  await expect(on.put('k', 'x')).rejects.toMatchObject({ code: 'uncertain' });
});

test('[D6.3] a move goes on to its next view when all who have to have told, and by one of those who try', async () => {
  const { bed, on, second } = await moving();
  await using _ = bed;
  const views = new ViewWatch(bed.engine, bed.clock);
  const known = await views.known();
  const told = { done: true, partitions: 4_096, of: 4_096, entries: 1, beganAt: 0 };
  const phase = (): string | undefined => known.view?.view.also?.phase;
  const heard = async (id: string, since: number): Promise<void> => {
    await tellMove(bed.engine, id, { ...told, since });
    await vi.waitFor(() => expect(known.moves.get(id)?.since).toBe(since));
  };
  expect(await advanceMove(bed.engine, known)).toBeNull();
  await heard('node-1', 1);
  expect(await advanceMove(bed.engine, known), 'what it told of another move').toBeNull();
  await heard('node-1', 2);
  const stale = { view: known.view, moves: known.moves, isAlive: () => true } as unknown as Known;
  expect((await advanceMove(bed.engine, known))?.view).toMatchObject({
    nodes: [{ id: 'node-1' }],
    also: { phase: 'settling', nodes: [{ id: 'node-0' }] },
  });
  expect(await advanceMove(bed.engine, stale), 'another one was first').toBeNull();
  await vi.waitFor(() => expect(phase()).toBe('settling'));
  second.epoch = known.epoch;
  // It reads by the new side now, and writes to both.
  expect(await on.get('before')).toBeUndefined();
  expect(await advanceMove(bed.engine, known)).toBeNull();
  await heard('node-0', 3);
  expect((await advanceMove(bed.engine, known))?.view).toMatchObject({ left: ['node-0'] });
  await vi.waitFor(() => expect(phase()).toBeUndefined());
  await views.close();
});
