import { createWriteStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { addAbortSignal, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Response } from 'undici';
import { isWaymarkError, WaymarkError } from 'waymark';
import { askServer, deadlineOf } from './ask-server.js';
import { readBackup } from './backup-file.js';
import type { GlobalOptions } from './context.js';

/**
 * Takes a backup from the server. `file` is whole or as it was: what comes is written beside it, read back and flushed, and only then
 * takes its name, and the place of an older one.
 *
 * @param interrupted  ends it, and rejects with its reason
 * @throws {WaymarkError} `unavailable` when the server is lost or ends too early, `timeout`
 */
export async function takeBackup(
  options: GlobalOptions,
  file: string,
  interrupted: AbortSignal,
): Promise<{ readonly revision: number; readonly entries: number }> {
  const deadline = deadlineOf(options.timeout, interrupted);
  const response = await askServer(options, 'GET', '/v1/backup', { deadline });
  const beside = `${file}.tmp`;
  try {
    // One that was killed may have left it.
    await rm(beside, { force: true });
    const written = createWriteStream(beside, { flags: 'wx', mode: 0o600, flush: true });
    await pipeline(arriving(response, deadline.signal), written);
    const { revision, entries } = await checked(beside);
    await rename(beside, file);
    await flushFolder(dirname(file));
    return { revision, entries: entries.length };
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}

/** The signal is looked at here as well: it must end this also where fetch has forgotten it, once it has answered. */
async function* arriving(
  { body }: Response,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  if (body === null) return;
  const bytes = Readable.fromWeb(body as never);
  if (signal !== undefined) addAbortSignal(signal, bytes);
  try {
    for await (const part of bytes) yield part as Buffer;
  } catch (cause) {
    signal?.throwIfAborted();
    const text =
      'the connection to the server broke in the middle of the backup: nothing of it is kept, take it again';
    throw new WaymarkError('unavailable', text, {}, cause);
  }
}

/** A server, or what stands before it, may also end its answer properly before it is whole. */
async function checked(file: string): ReturnType<typeof readBackup> {
  try {
    return await readBackup(file);
  } catch (cause) {
    if (!isWaymarkError(cause, 'corrupt')) throw cause;
    const text = 'what the server sent is no whole backup: nothing of it is kept, take it again';
    throw new WaymarkError('unavailable', text, {}, cause);
  }
}

/** The new name outlives a loss of power only then. */
async function flushFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r');
  await handle.sync();
}
