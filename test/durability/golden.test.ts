import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { openFileEngine } from 'waymark/engine';
import { wholeState } from './ledger.js';

/** A data directory as each format's release left it; write-golden.ts made it. A later release must open all of them. */
const goldens = fileURLToPath(new URL('golden', import.meta.url));

test.each(['v1', 'v2'])(
  '[G29] a data directory of format %s opens, whole, and can be written',
  async (format) => {
    const golden = join(goldens, format);
    const directory = await mkdtemp(join(tmpdir(), 'waymark-golden-'));
    try {
      await cp(golden, directory, { recursive: true });
      await rm(join(directory, 'expected.json'));
      const expected: unknown = JSON.parse(await readFile(join(golden, 'expected.json'), 'utf8'));
      const engine = await openFileEngine(directory);
      const { identity } = await engine.status();
      expect({ identity, ...(await wholeState(engine)) }).toEqual(expected);
      await engine.commit({ apply: [{ type: 'put', key: 'later', value: 'v' }] });
      await engine[Symbol.asyncDispose]();
    } finally {
      await rm(directory, { recursive: true });
    }
  },
);
