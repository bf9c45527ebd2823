import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { systemRandom } from 'waymark/engine';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createSealer, sealedBy } from './sealing.js';
import { readSealingKeys as readNow } from './sealing-keys.js';
import { dropSecretsKey, generateSecretsFile, rotateSecretsFile } from './sealing-keys-file.js';

const readSealingKeys = async (sources: Parameters<typeof readNow>[0]) => readNow(sources);

let folder: string;
let files = 0;
const line = (id: string, byte: number): string =>
  `${id}:${Buffer.alloc(32, byte).toString('base64')}`;

beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'waymark-keys-'))));
afterAll(() => rm(folder, { recursive: true }));

async function keyFile(text: string, mode = 0o600): Promise<string> {
  const path = join(folder, `keys-${++files}`);
  await writeFile(path, text);
  await chmod(path, mode);
  return path;
}

test('[G27] keys come from a file or the environment, newest first', async () => {
  const text = `${line('new', 2)}\n${line('old', 1)}\n`;
  const file = await keyFile(text);
  const keys = await readSealingKeys({ file });
  expect(keys).toEqual([
    { id: 'new', key: Buffer.alloc(32, 2) },
    { id: 'old', key: Buffer.alloc(32, 1) },
  ]);
  expect(await readSealingKeys({ text })).toEqual(keys);
  expect(await readSealingKeys({ text: line('a', 1) })).toHaveLength(1);
  expect(await readSealingKeys({ file, text: line('a', 1) })).toEqual(keys);
  expect(await readSealingKeys({ text: `\r\n${line('a', 1)}\r\n\r\n` })).toHaveLength(1);
  expect(await readSealingKeys({})).toEqual([]);
});

test('[G27] a key is made once, for its owner alone', async () => {
  const file = join(folder, 'made');
  await generateSecretsFile(file, systemRandom);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  const before = await readFile(file, 'utf8');
  const sealer = createSealer({ keys: await readSealingKeys({ file }), random: systemRandom });
  expect(sealer.open(sealer.seal('x', 'y'), 'y')).toBe('x');

  await expect(generateSecretsFile(file, systemRandom)).rejects.toMatchObject({ code: 'conflict' });
  const link = join(folder, 'link');
  await symlink(join(folder, 'nowhere'), link);
  await expect(generateSecretsFile(link, systemRandom)).rejects.toMatchObject({ code: 'conflict' });
  expect(await readFile(file, 'utf8')).toBe(before);
  const lost = join(folder, 'no', 'such', 'folder');
  await expect(generateSecretsFile(lost, systemRandom)).rejects.toMatchObject({ code: 'invalid' });

  const other = join(folder, 'other');
  await generateSecretsFile(other, systemRandom);
  expect(await readFile(other, 'utf8')).not.toBe(before);
});

test('[G27] a file that others may read, or a group may write, is refused with what to do', async () => {
  for (const mode of [0o604, 0o644, 0o602, 0o601, 0o620, 0o666]) {
    const file = await keyFile(line('a', 1), mode);
    const text = expect.stringContaining(`chmod 600 ${file}`) as string;
    await expect(readSealingKeys({ file })).rejects.toMatchObject({
      code: 'invalid',
      message: text,
    });
  }
  for (const mode of [0o600, 0o400, 0o440, 0o640]) {
    await expect(
      readSealingKeys({ file: await keyFile(line('a', 1), mode) }),
    ).resolves.toHaveLength(1);
  }
});

test('[G27] what is no file of keys is refused, with the line, and never shown', async () => {
  const canary = Buffer.from('canary-canary-canary').toString('base64');
  const texts: readonly (readonly [string, string])[] = [
    ['', 'line 1'],
    ['\n\n', 'line 1'],
    [canary, 'line 1'],
    [`a:${canary}`, 'line 1'],
    [`${line('a', 1)}\na:${canary}`, "line 2: the id 'a' comes twice"],
    [`${line('a', 1)}\nb:${canary}`, "line 2: the key 'b'"],
    [`${line('a', 1)}:${canary}`, "line 1: the key 'a'"],
    [`${line('a', 1)} ${canary}`, "line 1: the key 'a'"],
    [`a b:${canary}`, 'line 1: an id'],
    [`${'a'.repeat(33)}:${canary}`, 'line 1: an id'],
    [` ${line('a', 1)}`, 'line 1: an id'],
    [Array.from({ length: 33 }, (_, i) => line(`k${i}`, i)).join('\n'), 'at most 32'],
  ];
  for (const [text, told] of texts) {
    for (const source of [{ text }, { file: await keyFile(text) }]) {
      const error = await readSealingKeys(source).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'invalid' });
      expect((error as Error).message).toContain(told);
      expect(inspect(error, { depth: 9 })).not.toContain(canary);
    }
  }
  const big = await keyFile(line('a', 1).repeat(999));
  await expect(readSealingKeys({ file: big })).rejects.toMatchObject({ code: 'invalid' });
  for (const file of [join(folder, 'none'), folder]) {
    await expect(readSealingKeys({ file })).rejects.toMatchObject({ code: 'invalid' });
  }
});

test('[G27] a new key comes first, the others stay, and one that no longer seals can be dropped', async () => {
  const file = join(folder, 'rotated');
  const first = await generateSecretsFile(file, systemRandom);
  await chmod(file, 0o640);
  const sealed = createSealer({ keys: readNow({ file }), random: systemRandom }).seal('x', 'y');
  const second = await rotateSecretsFile(file, systemRandom);
  expect(readNow({ file }).map(({ id }) => id)).toEqual([second, first]);
  expect((await stat(file)).mode & 0o777).toBe(0o640);
  const sealer = createSealer({ keys: readNow({ file }), random: systemRandom });
  expect(sealer.open(sealed, 'y')).toBe('x');
  expect(sealedBy(sealer.seal('x', 'y'))).toBe(second);

  await expect(dropSecretsKey(file, second)).rejects.toMatchObject({ code: 'conflict' });
  await expect(dropSecretsKey(file, 'other')).rejects.toMatchObject({ code: 'not_found' });
  await dropSecretsKey(file, first);
  expect(readNow({ file }).map(({ id }) => id)).toEqual([second]);
  for (let n = 1; n < 32; n++) await rotateSecretsFile(file, systemRandom);
  await expect(rotateSecretsFile(file, systemRandom)).rejects.toMatchObject({ code: 'exhausted' });
  await chmod(file, 0o644);
  await expect(rotateSecretsFile(file, systemRandom)).rejects.toMatchObject({ code: 'invalid' });
  expect((await readdir(folder)).filter((name) => name.endsWith('.new'))).toEqual([]);
});
