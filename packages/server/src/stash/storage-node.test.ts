import type { Known, ViewWatch } from 'waymark/stash';
import { expect, test } from 'vitest';
import { StorageNode } from './storage-node.js';
import type { StashStore } from './store.js';

const [index, nothing] = ['i', new Uint8Array()];

/** A node whose data is cold, and which hears of another view while its pages are looked for. */
function overtaken(): { node: StorageNode; done: string[]; warmed: () => void } {
  const done: string[] = [];
  let warmed = (): void => {};
  const warm = new Promise<void>((resolve) => (warmed = resolve));
  const store = {
    cold: true,
    writable: true,
    warm: () => warm,
    read: () => (done.push('read'), nothing),
    write: () => Promise.resolve(done.push('write')),
    scan: async () => (await warm, { entries: nothing, more: false }),
  } as unknown as StashStore;
  let epoch = 5;
  void warm.then(() => (epoch = 6));
  const views = {
    get last() {
      return { epoch } as Known;
    },
  } as unknown as ViewWatch;
  return { node: new StorageNode(store, views), done, warmed };
}

for (const [what, ask] of [
  ['read', (node) => node.read({ epoch: 5, index, keys: nothing, versionsOnly: false })],
  ['write', (node) => node.write({ epoch: 5, index, entries: nothing })],
  [
    'scan',
    (node) =>
      node.scan({
        ...{ epoch: 5, index, partitions: nothing, prefix: '', limit: 1 },
        versionsOnly: false,
      }),
  ],
] as readonly [string, (node: StorageNode) => Promise<unknown>][]) {
  test(`[D4.6] a ${what} is refused by a view that came while pages were looked for`, async () => {
    const { node, done, warmed } = overtaken();
    const asked = ask(node);
    warmed();
    await expect(asked).rejects.toMatchObject({ code: 'superseded' });
    expect(done).toEqual([]);
  });
}
