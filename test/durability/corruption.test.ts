import {
  cp,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inspectFiles, isWaymarkError, openFileEngine } from 'waymark/engine';
import { Ledger, type State, wholeState } from './ledger.js';
import { seededRandom, seedOf } from './seeded-random.js';

const long = process.env['WAYMARK_LONG'] === '1';
const seed = seedOf(20_261_122);
const flips = long ? 1_000 : 200;
const truncations = long ? 200 : 60;
const zeroings = long ? 100 : 40;
const replay = `WAYMARK_SEED=${seed} npx vitest run test/durability/corruption.test.ts`;

let base: string;
let pristine: string;
let right: State;

/** A closed directory with a snapshot and two logs. */
beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'waymark-corruption-'));
  pristine = join(base, 'pristine');
  const random = seededRandom(seed);
  const ledger = new Ledger(random);
  const told: string[] = [];
  for (let life = 0; life < 3; life++) {
    const engine = await openFileEngine(pristine, {
      random,
      snapshotLogBytes: 60_000,
      history: { needed: () => ledger.acknowledged - 200 },
      told: (line) => told.push(line),
    });
    await ledger.run(engine, 400);
    await engine[Symbol.asyncDispose]();
  }
  const engine = await openFileEngine(pristine);
  right = await wholeState(engine);
  await engine[Symbol.asyncDispose]();
  expect(
    (await readdir(pristine)).some((name) => name.startsWith('snapshot-')),
    told.join(),
  ).toBe(true);
});

afterAll(() => rm(base, { recursive: true, force: true }));

type Verdict = 'right' | 'refused';

/** @throws when the damage was served, or ended in anything but a plain refusal */
async function verdictOn(directory: string): Promise<Verdict> {
  try {
    const engine = await openFileEngine(directory);
    const found = await wholeState(engine);
    await engine[Symbol.asyncDispose]();
    expect(found).toEqual(right);
    return 'right';
  } catch (error) {
    if (!isWaymarkError(error)) throw error;
    // A flip may make the version a future one: that is refused as such.
    expect(['corrupt', 'invalid']).toContain(error.code);
    expect(error.facts.file).toBeDefined();
    return 'refused';
  }
}

async function damaged(
  name: string,
  damage: (file: string, size: number) => Promise<void>,
): Promise<Verdict> {
  const copy = join(base, 'copy');
  await rm(copy, { recursive: true, force: true });
  await cp(pristine, copy, { recursive: true });
  const file = join(copy, name);
  await damage(file, (await stat(file)).size);
  for await (const fact of inspectFiles(copy)) void fact;
  return await verdictOn(copy);
}

describe('damaged files', () => {
  const random = seededRandom(seed);
  const below = (bound: number): number => Math.floor(random.next() * bound);
  const anyOf = async (): Promise<string> => {
    const names = await readdir(pristine);
    return names[below(names.length)] as string;
  };

  test(`[G14] ${flips} bit flips: the right data or a refusal that names the file`, async () => {
    const verdicts = { right: 0, refused: 0 };
    for (let i = 0; i < flips; i++) {
      const flip = async (file: string, size: number): Promise<void> => {
        const content = await readFile(file);
        const at = below(size);
        content[at] = (content[at] as number) ^ (1 << below(8));
        await writeFile(file, content);
      };
      verdicts[await damaged(await anyOf(), flip)]++;
    }
    expect(verdicts.refused, replay).toBeGreaterThan(flips / 3);
  });

  test(`[G14] ${truncations} truncations: the same`, async () => {
    for (let i = 0; i < truncations; i++) {
      const name = await anyOf();
      const verdict = await damaged(name, (file, size) => truncate(file, below(size)));
      expect(verdict, `${name}; ${replay}`).toBe(name === 'closed' ? 'right' : 'refused');
    }
  });

  test(`[G14] ${zeroings} zeroed pages: the same`, async () => {
    for (let i = 0; i < zeroings; i++) {
      await damaged(await anyOf(), async (file, size) => {
        const handle = await open(file, 'r+');
        const at = below(size);
        await handle.write(Buffer.alloc(Math.min(512, size - at)), 0, Math.min(512, size - at), at);
        await handle.close();
      });
    }
  });

  test('[G14] a missing file is refused', async () => {
    for (const name of await readdir(pristine)) {
      const verdict = await damaged(name, (file) => rm(file));
      expect(verdict, name).toBe(name === 'closed' ? 'right' : 'refused');
    }
  });

  test('[G14] damage in the middle of the log names its offset', async () => {
    const copy = join(base, 'middle');
    await cp(pristine, copy, { recursive: true });
    // The last log may just have been begun: then its middle would be its end, which is cut.
    const first = await openFileEngine(copy);
    for (let n = 0; n < 20; n++)
      await first.commit({ apply: [{ type: 'put', key: 'more', value: `${n}` }] });
    await first[Symbol.asyncDispose]();
    const name = (await readdir(copy)).filter((file) => file.startsWith('log-')).at(-1) as string;
    const offsets: number[] = [];
    for await (const fact of inspectFiles(copy)) {
      if (fact.type === 'record' && fact.file === name && !offsets.includes(fact.offset))
        offsets.push(fact.offset);
    }
    const offset = offsets[Math.floor(offsets.length / 2)] as number;
    // As after a crash: nothing says how far the log reached.
    await rm(join(copy, 'closed'));
    const content = await readFile(join(copy, name));
    content[offset + 20] = (content[offset + 20] as number) ^ 1;
    await writeFile(join(copy, name), content);
    await expect(openFileEngine(copy)).rejects.toMatchObject({
      code: 'corrupt',
      facts: { file: name, offset },
    });
  });

  test('[G14] a torn tail is cut at the last whole frame, and told', async () => {
    const copy = join(base, 'torn');
    const first = await openFileEngine(copy);
    await first.commit({ apply: [{ type: 'put', key: 'whole', value: 'v' }] });
    await first[Symbol.asyncDispose]();
    await rm(join(copy, 'closed'));
    const whole = await readFile(join(copy, 'log-0000000001'));
    const frame = Buffer.concat([
      Buffer.from([40, 0, 0, 0, 1, 2, 3, 4]),
      Buffer.alloc(8),
      Buffer.alloc(20, 7),
    ]);
    frame.writeDoubleLE(3, 8);
    await writeFile(join(copy, 'log-0000000001'), Buffer.concat([whole, frame]));
    const told: string[] = [];
    const engine = await openFileEngine(copy, { told: (line) => told.push(line) });
    expect((await wholeState(engine)).entries.map(({ key }) => key)).toEqual(['whole']);
    expect(told).toEqual([
      expect.stringContaining(
        `log-0000000001: cut ${frame.length} bytes at offset ${whole.length}`,
      ),
    ]);
    await engine.commit({ apply: [{ type: 'put', key: 'after', value: 'v' }] });
    await engine[Symbol.asyncDispose]();
    const reopened = await openFileEngine(copy);
    expect((await wholeState(reopened)).entries.map(({ key }) => key)).toEqual(['after', 'whole']);
    await reopened[Symbol.asyncDispose]();
  });

  test('[G29] a newer format is refused by its number', async () => {
    const { crc32 } = await import('node:zlib');
    const copy = join(base, 'newer');
    await cp(pristine, copy, { recursive: true });
    const name = (await readdir(copy)).find((file) => file.startsWith('snapshot-')) as string;
    const content = await readFile(join(copy, name));
    content.writeUInt32LE(3, 8);
    content.writeUInt32LE(crc32(content.subarray(0, 28)), 28);
    await writeFile(join(copy, name), content);
    await expect(openFileEngine(copy)).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringContaining('format 3') as string,
    });
  });
});
