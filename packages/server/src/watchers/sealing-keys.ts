import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { WaymarkError } from 'waymark/engine';

/**
 * The keys that seal what endpoints keep secret, outside the engine whose data they protect: `ID:BASE64`, 32 bytes each, one a line, the newest
 * first: the first key seals, all of them open. To rotate, a new first line is put (sealing-keys-file.ts), and what is sealed is sealed again (resealing.ts). A line may go once
 * nothing is sealed by it.
 */

export interface SealingKey {
  /** Letters, digits, `-` and `_`; at most 32. It stands in the clear with what it sealed. */
  readonly id: string;
  /** 32 bytes. */
  readonly key: Uint8Array;
}

export const sealingKeyId = /^[A-Za-z0-9_-]{1,32}$/;
export const keyBytes = 32;
export const keysMax = 32;
const fileBytesMax = 16_384;

/**
 * @param sources.file  a file that others may not read
 * @param sources.text  the same text, from the environment (WAYMARK_SECRETS_KEY); the file goes first
 * @returns newest first; empty when there is neither
 * @throws {WaymarkError} `invalid`, naming the file or variable and the line, and never what stands there
 */
export function readSealingKeys(sources: {
  readonly file?: string | undefined;
  readonly text?: string | undefined;
}): readonly SealingKey[] {
  if (sources.file !== undefined) return parsed(guardedText(sources.file), sources.file);
  if (sources.text !== undefined) return parsed(sources.text, 'WAYMARK_SECRETS_KEY');
  return [];
}

/** Read in one go, as few bytes as they are: it is looked at again in the middle of opening what a newer key sealed. */
function guardedText(path: string): string {
  const file = openedNow(path);
  try {
    // Of the file that is open: another one may stand at its path by now.
    const { mode, size } = fstatSync(file);
    if ((mode & 0o027) !== 0) {
      const text = `keys must be for their owner alone, and a group that may read at most: chmod 600 ${path}`;
      throw new WaymarkError('invalid', text, { file: path });
    }
    if (size > fileBytesMax) {
      const text = `${path}: a file of keys has at most ${fileBytesMax} bytes`;
      throw new WaymarkError('invalid', text, { file: path });
    }
    return textOf(file, path);
  } finally {
    closeSync(file);
  }
}

function openedNow(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (error) {
    throw notUsable(path, error);
  }
}

function textOf(file: number, path: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw notUsable(path, error);
  }
}

export function notUsable(path: string, cause: unknown): WaymarkError {
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
