import { expect, test } from 'vitest';
import { createMemoryEngine } from '../memory/memory-engine.js';

/** Commits after which old history is looked at, and more. */
const commits = 300;

test('[K9] history that is still needed outlives its bounds, and goes when it is not', async () => {
  let needed: number | null = 50;
  const history = { revisions: 10, bytes: 1, needed: () => needed };
  await using engine = createMemoryEngine({ history });
  const write = async (): Promise<void> => {
    for (let n = 0; n < commits; n++) {
      await engine.commit({ apply: [{ type: 'put', key: 'k', value: String(n) }] });
    }
  };
  await write();
  expect((await engine.status()).compacted).toBe(50);
  for await (const { changes } of engine.watch([{ key: 'k' }], { after: 50 })) {
    expect(changes[0]?.entry.modRevision).toBe(51);
    break;
  }
  needed = null;
  await write();
  expect((await engine.status()).compacted).toBeGreaterThan(commits);
});
