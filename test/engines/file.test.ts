import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'vitest';
import { openFileEngine } from 'waymark/engine';
import { engineSuite, FakeClock } from 'waymark/testing';

engineSuite({
  name: 'file',
  runner: { describe, test },
  open: async () => {
    const directory = await mkdtemp(join(tmpdir(), 'waymark-suite-'));
    const clock = new FakeClock();
    const engine = await openFileEngine(directory, { clock });
    const close = async (): Promise<void> => {
      await engine[Symbol.asyncDispose]();
      await rm(directory, { recursive: true });
    };
    return { engine, clock, close };
  },
});
