import { expect, test } from 'vitest';
import { type Clock, systemClock } from 'waymark/engine';
import { FakeClock } from 'waymark/testing';
import { Digests } from './digests.js';
import { DiskKeys } from './disk-key.js';
import type { Group } from './group.js';
import { GroupCommit } from './group-commit.js';
import type { Tables } from './lmdb.js';
import { Room } from './room.js';

function commitsOf(tables: Tables, clock: Clock, digests = new Digests()): GroupCommit {
  const room = new Room('/', clock, () => undefined);
  const keys = new DiskKeys();
  return new GroupCommit({ tables, keys, room, clock, digests, flushed: () => undefined });
}

/** Tables that note which partitions each commit wrote. @param refuse  which commit the disk has no room for, counted from 0 */
function noting(commits: number[][], refuse = -1): Tables {
  const entries = {
    batch: async (task: () => void) => {
      commits.push([]);
      task();
      if (commits.length - 1 === refuse) throw Object.assign(new Error('full'), { code: 28 });
    },
    put: (key: DiskKeys) => {
      const bytes = Buffer.alloc(8);
      key.writeKey(key, bytes, 0);
      commits.at(-1)?.push(bytes.readUInt16BE(0));
    },
  };
  const seen = (): number => (commits.length > refuse ? refuse : commits.length);
  return { entries, seen, flushed: () => Promise.resolve() } as unknown as Tables;
}

/** So many records of 64 KiB, the partitions out of order. */
function fill(group: Group, count: number, first = 0): void {
  for (let i = first; i < first + count; i++) {
    const block = Buffer.alloc(65_536);
    block.writeUInt16BE((i * 37) % 4_096);
    group.put(block, 0, 2, block.length, i);
    group.toggle((i * 37) % 4_096, 1, 1);
    group.bytes += block.length;
  }
}

test('[D4.3] while more of a batch follows it is waited for: until the last of it is there, or the group is full, or nothing more comes', async () => {
  const clock = new FakeClock();
  const commits: number[][] = [];
  const group = commitsOf(noting(commits), clock);
  const put = (count: number, more: boolean): Promise<void> => {
    const of = group.gather();
    fill(of, count);
    group.grew(more);
    return of.done;
  };
  const turns = async (): Promise<void> => {
    for (let i = 0; i < 20; i++)
      await new Promise((resolve) => systemClock.nextTurn(() => resolve(null)));
  };
  void put(1, true);
  await turns();
  clock.advance(24);
  await turns();
  void put(1, true);
  await turns();
  clock.advance(24);
  await turns();
  expect(commits, 'more follows').toEqual([]);
  const last = put(1, false);
  await turns();
  await last;
  expect(commits.map(({ length }) => length)).toEqual([3]);

  const left = put(1, true);
  await turns();
  clock.advance(25);
  await turns();
  await left;
  expect(
    commits.map(({ length }) => length),
    'who was to send more is gone',
  ).toEqual([3, 1]);

  void put(1, true);
  await turns();
  const full = put(256, true);
  await turns();
  await full;
  expect(commits.map(({ length }) => length)).toEqual([3, 1, 64, 64, 64, 64, 1]);
});

test('[D4.3] a large group is committed slice by slice, each with partitions of its own', async () => {
  const commits: number[][] = [];
  const group = commitsOf(noting(commits), systemClock).gather();
  fill(group, 200);
  await group.done;
  expect(commits.map(({ length }) => length)).toEqual([64, 64, 64, 8]);
  const partitions = commits.flat();
  expect(partitions).toEqual(partitions.toSorted((a, b) => a - b));
});

test('[D4.4] where the disk is full after some slices of a group, nobody is told that nothing of it was written, and digests of what it touched are worked out anew', async () => {
  const commits: number[][] = [];
  const digests = new Digests();
  digests.load(undefined);
  const all = commitsOf(noting(commits, 1), systemClock, digests);
  const group = all.gather();
  fill(group, 200);
  await expect(group.done).rejects.toMatchObject({ code: 'uncertain' });
  expect(commits).toHaveLength(2);
  expect([digests.get(37), digests.get(37 * 3), digests.get(1)]).toEqual([null, null, zero]);
});

const zero = { high: 0, low: 0 };

test('[D4.4] after a flush that failed nothing is committed any more, whoever asks: what was lost would look flushed', async () => {
  const clock = new FakeClock();
  let commits = 0;
  const tables = {
    entries: { batch: (task: () => void) => (commits++, task(), Promise.resolve()) },
    seen: () => commits,
    flushed: () => Promise.reject(Object.assign(new Error('the disk refused'), { code: 28 })),
  } as unknown as Tables;
  const group = commitsOf(tables, clock);
  const first = group.gather();
  first.alongside.push(() => undefined);
  await expect(first.done).rejects.toMatchObject({ code: 'uncertain' });
  expect(() => group.gather()).toThrow(expect.objectContaining({ code: 'unavailable' }));
  expect(commits).toBe(1);
});
