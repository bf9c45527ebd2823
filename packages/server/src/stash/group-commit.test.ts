import { expect, test } from 'vitest';
import { FakeClock } from 'waymark/testing';
import { Digests } from './digests.js';
import { DiskKeys } from './disk-key.js';
import { GroupCommit } from './group-commit.js';
import type { Tables } from './lmdb.js';
import { Room } from './room.js';

test('[D4.4] after a flush that failed nothing is committed any more, whoever asks: what was lost would look flushed', async () => {
  const clock = new FakeClock();
  let commits = 0;
  const tables = {
    entries: { batch: (task: () => void) => (commits++, task(), Promise.resolve()) },
    seen: () => commits,
    flushed: () => Promise.reject(Object.assign(new Error('the disk refused'), { code: 28 })),
  } as unknown as Tables;
  const room = new Room('/', clock, () => undefined);
  const group = new GroupCommit({
    ...{ tables, keys: new DiskKeys(), room, clock, digests: new Digests() },
    flushed: () => undefined,
  });
  const first = group.gather();
  first.alongside.push(() => undefined);
  await expect(first.done).rejects.toMatchObject({ code: 'uncertain' });
  expect(() => group.gather()).toThrow(expect.objectContaining({ code: 'unavailable' }));
  expect(commits).toBe(1);
});
