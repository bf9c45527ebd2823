import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openFileEngine } from 'waymark/engine';
import { Ledger, wholeState } from './ledger.js';
import { seededRandom } from './seeded-random.js';

/**
 * Makes a golden directory for the format of this release: `node test/dist/durability/write-golden.js DIRECTORY`. Run it once per
 * format, and commit what it makes.
 */
const directory = process.argv[2] ?? 'test/durability/golden/new';
await rm(directory, { recursive: true, force: true });
await mkdir(directory, { recursive: true });
const random = seededRandom(1);
const ledger = new Ledger(random);
const snapshotTaken = new Promise<void>((resolve) => {
  const told = (line: string): void => {
    if (line.startsWith('snapshot-')) resolve();
  };
  void write(told);
});
await snapshotTaken;

async function write(told: (line: string) => void): Promise<void> {
  const engine = await openFileEngine(directory, {
    random,
    told,
    snapshotLogBytes: 20_000,
    history: { needed: () => 20 },
  });
  await ledger.run(engine, 130);
  await snapshotTaken;
  await engine.compact((await engine.status()).revision - 10);
  await engine.commit({ apply: [{ type: 'put', key: '\x00\xff/bytes', value: '\x00\x80\xff' }] });
  const { identity } = await engine.status();
  const expected = { identity, ...(await wholeState(engine)) };
  await engine[Symbol.asyncDispose]();
  await writeFile(join(directory, 'expected.json'), `${JSON.stringify(expected, null, 2)}\n`);
}
