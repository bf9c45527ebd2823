import { describe, expect, test } from 'vitest';
import { openFile, openMemory, openServed } from './engines.js';

/** An engine of one process, beside which nobody writes, tells revisions and bytes to the last one. */
describe.each([
  ['memory', openMemory],
  ['file', openFile],
  ['remote over memory', () => openServed('memory')],
])('%s', (_name, open) => {
  test('[K2] a revoke without keys and a compaction advance no revision', async () => {
    const { engine, close } = await open();
    const { id } = await engine.grant(60_000);
    const { revision } = await engine.commit({
      apply: [{ type: 'put', key: 'a', value: '', lease: id }],
    });
    await engine.commit({ apply: [{ type: 'delete', key: 'a' }] });
    await engine.revoke(id);
    await engine.compact(revision);
    expect((await engine.status()).revision).toBe(revision + 1);
    await close();
  });

  test('[K12] status counts the bytes of keys and values that live', async () => {
    const { engine, close } = await open();
    await engine.commit({ apply: [{ type: 'put', key: 'long', value: 'x'.repeat(1_000) }] });
    expect((await engine.status()).bytes).toBe(1_004);
    await engine.commit({ apply: [{ type: 'delete', key: 'long' }] });
    expect((await engine.status()).bytes).toBe(0);
    await close();
  });
});
