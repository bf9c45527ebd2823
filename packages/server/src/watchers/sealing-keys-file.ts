import { generateKeySync } from 'node:crypto';
import { type FileHandle, open, rename, stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Random, WaymarkError } from 'waymark/engine';
import { keyBytes, keysMax, notUsable, readSealingKeys, type SealingKey } from './sealing-keys.js';

/** Makes and changes files of keys. Each is whole at any moment, on disk when a call resolves, and for its owner alone. */

/**
 * Writes a file of one new key.
 *
 * @returns its id
 * @throws {WaymarkError} `conflict` when there is a file: nothing sealed by its keys would open any more
 */
export async function generateSecretsFile(path: string, random: Random): Promise<string> {
  const key = newKey(random);
  await written(path, [key]);
  await flushed(dirname(path));
  return key.id;
}

/**
 * Puts a new key before those of a file: it seals from now on, and the others still open. Owner and group stay.
 *
 * @returns the id of the new key
 * @throws {WaymarkError} `invalid` for a file that is none, `exhausted` when there are 32 keys
 */
export async function rotateSecretsFile(path: string, random: Random): Promise<string> {
  const keys = readSealingKeys({ file: path });
  if (keys.length >= keysMax) {
    const text = `${path} holds ${keysMax} keys: drop those that sealed nothing that is still there`;
    throw new WaymarkError('exhausted', text, { file: path });
  }
  const key = newKey(random);
  await replaced(path, [key, ...keys]);
  return key.id;
}

/** Takes a key out of a file. @throws {WaymarkError} `invalid`; `not_found`; `conflict` for the first one, which seals */
export async function dropSecretsKey(path: string, id: string): Promise<void> {
  const keys = readSealingKeys({ file: path });
  const at = keys.findIndex((one) => one.id === id);
  if (at < 0) throw new WaymarkError('not_found', `${path} has no key '${id}'`, { file: path });
  if (at === 0) {
    const text = `'${id}' is the key of ${path} that seals: put another before it (rotate), then drop it`;
    throw new WaymarkError('conflict', text, { file: path });
  }
  await replaced(path, keys.toSpliced(at, 1));
}

function newKey(random: Random): SealingKey {
  const key = generateKeySync('aes', { length: keyBytes * 8 }).export();
  // Named on a command line, where a leading dash would be an option.
  return { id: `k${random.id().slice(0, 8)}`, key };
}

/** A server that reads it meanwhile finds the old keys or the new ones. */
async function replaced(path: string, keys: readonly SealingKey[]): Promise<void> {
  const { mode, uid, gid } = await stat(path);
  const beside = `${path}.new`;
  await written(beside, keys, { mode: mode & 0o640, uid, gid });
  try {
    await rename(beside, path);
  } catch (error) {
    await unlink(beside).catch(() => undefined);
    throw notUsable(path, error);
  }
  await flushed(dirname(path));
}

async function written(
  path: string,
  keys: readonly SealingKey[],
  owner?: { readonly mode: number; readonly uid: number; readonly gid: number },
): Promise<void> {
  const file = await opened(path, 'wx');
  try {
    if (owner !== undefined) {
      const { uid, gid } = await file.stat();
      // Who may not give it away could lock the server out of its keys.
      if (uid !== owner.uid || gid !== owner.gid) await file.chown(owner.uid, owner.gid);
      await file.chmod(owner.mode);
    }
    const lines = keys.map(({ id, key }) => `${id}:${Buffer.from(key).toString('base64')}\n`);
    await file.writeFile(lines.join(''));
    await file.sync();
  } catch (error) {
    await unlink(path).catch(() => undefined);
    throw notUsable(path, error);
  } finally {
    await file.close();
  }
}

async function flushed(path: string): Promise<void> {
  const directory = await opened(path, 'r');
  await directory.sync().finally(() => directory.close());
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
