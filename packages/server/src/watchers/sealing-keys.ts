import { generateKeySync } from 'node:crypto';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Random, WaymarkError } from 'waymark/engine';

/**
 * The keys that seal what endpoints keep secret, outside the engine whose data they protect: `ID:BASE64`, 32 bytes each, one a line, the newest
 * first. To rotate, put a new first line and start the servers again: the first key seals, all of them open. A line may go once nothing is sealed by it.
 */

export interface SealingKey {
  /** Letters, digits, `-` and `_`; at most 32. It stands in the clear with what it sealed. */
  readonly id: string;
  /** 32 bytes. */
  readonly key: Uint8Array;
}

export const sealingKeyId = /^[A-Za-z0-9_-]{1,32}$/;
const keyBytes = 32;
const keysMax = 32;
const fileBytesMax = 16_384;

/**
 * @param sources.file  a file that others may not read
 * @param sources.text  the same text, from the environment (WAYMARK_SECRETS_KEY); the file goes first
 * @returns newest first; empty when there is neither
 * @throws {WaymarkError} `invalid`, naming the file or variable and the line, and never what stands there
 */
export async function readSealingKeys(sources: {
  readonly file?: string | undefined;
  readonly text?: string | undefined;
}): Promise<readonly SealingKey[]> {
  if (sources.file !== undefined) return parsed(await guardedText(sources.file), sources.file);
  if (sources.text !== undefined) return parsed(sources.text, 'WAYMARK_SECRETS_KEY');
  return [];
}

/**
 * Writes a file of one new key, for its owner alone, and resolves when it is on disk.
 *
 * @throws {WaymarkError} `conflict` when there is a file: nothing sealed by its keys would open any more
 */
export async function generateSecretsFile(path: string, random: Random): Promise<void> {
  const id = random.id().slice(0, 8);
  const key = generateKeySync('aes', { length: keyBytes * 8 }).export();
  const file = await opened(path, 'wx');
  try {
    await file.writeFile(`${id}:${key.toString('base64')}\n`);
    await file.sync();
  } catch (error) {
    await unlink(path).catch(() => undefined);
    throw notUsable(path, error);
  } finally {
    await file.close();
  }
  const directory = await opened(dirname(path), 'r');
  await directory.sync().finally(() => directory.close());
}

async function guardedText(path: string): Promise<string> {
  const file = await opened(path, 'r');
  try {
    // Of the file that is open: another one may stand at its path by now.
    const { mode, size } = await file.stat();
    if ((mode & 0o027) !== 0) {
      const text = `keys must be for their owner alone, and a group that may read at most: chmod 600 ${path}`;
      throw new WaymarkError('invalid', text, { file: path });
    }
    if (size > fileBytesMax) {
      const text = `${path}: a file of keys has at most ${fileBytesMax} bytes`;
      throw new WaymarkError('invalid', text, { file: path });
    }
    return await file.readFile('utf8').catch((error: unknown) => {
      throw notUsable(path, error);
    });
  } finally {
    await file.close();
  }
}

async function opened(path: string, flags: 'r' | 'wx'): Promise<FileHandle> {
  try {
    return await open(path, flags, 0o600);
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'EEXIST') throw notUsable(path, error);
    const text = `${path} is there already, and is left as it is: what its keys sealed would never open again`;
    throw new WaymarkError('conflict', text, { file: path });
  }
}

function notUsable(path: string, cause: unknown): WaymarkError {
  const text = `the file of keys that seal secrets: ${(cause as Error).message}`;
  return new WaymarkError('invalid', text, { file: path }, cause);
}

function parsed(text: string, source: string): readonly SealingKey[] {
  const keys: SealingKey[] = [];
  const refused = (line: number, what: string): WaymarkError =>
    new WaymarkError(
      'invalid',
      `${source}, line ${line}: ${what}; a line is ID:BASE64 of ${keyBytes} bytes`,
    );
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (line === '') continue;
    const [id = '', encoded = '', ...rest] = line.split(':');
    const key = Buffer.from(encoded, 'base64');
    if (!sealingKeyId.test(id)) throw refused(i + 1, 'an id has 1 to 32 of A-Z a-z 0-9 - _');
    if (keys.some((one) => one.id === id)) throw refused(i + 1, `the id '${id}' comes twice`);
    const whole = key.toString('base64') === encoded && key.length === keyBytes;
    if (!whole || rest.length > 0) throw refused(i + 1, `the key '${id}' is none`);
    keys.push({ id, key });
  }
  if (keys.length === 0) throw refused(1, 'there is no key');
  if (keys.length > keysMax) throw refused(keysMax + 1, `at most ${keysMax} keys are kept`);
  return keys;
}
