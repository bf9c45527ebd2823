import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { WaymarkError } from 'waymark';
import type { RestoredEntry } from 'waymark/engine';

const checksumBytes = 32;

/**
 * Reads what `waymark backup` wrote, or `etcdctl snapshot save` from a server of Waymark: the same lines, and then a SHA-256 of them.
 *
 * @throws {WaymarkError} `corrupt` for what is no such file, or not whole
 */
export async function readBackup(
  file: string,
): Promise<{ readonly revision: number; readonly entries: RestoredEntry[] }> {
  const entries: RestoredEntry[] = [];
  let revision: number | undefined;
  let whole = false;
  for await (const text of linesOf(file)) {
    const line = parseLine(file, text);
    if (line['waymark'] === 'backup') revision = Number(line['revision']);
    else if (line['end'] === true) whole = line['entries'] === entries.length;
    else entries.push(toEntry(line));
  }
  if (revision === undefined || !whole) throw corrupt(file, 'is no whole backup of Waymark');
  return { revision, entries };
}

async function* linesOf(file: string): AsyncGenerator<string> {
  const { size } = await stat(file);
  const length = (await isSealed(file)) ? size - checksumBytes : size;
  if (length < size) await checkSeal(file, length);
  yield* createInterface({ input: createReadStream(file, { end: length - 1 }) });
}

/** Whether the first line says that a checksum follows the last. */
async function isSealed(file: string): Promise<boolean> {
  for await (const text of createInterface({ input: createReadStream(file) })) {
    return parseLine(file, text)['sealed'] === 'sha256';
  }
  throw corrupt(file, 'is empty');
}

async function checkSeal(file: string, length: number): Promise<void> {
  const hash = createHash('sha256');
  if (length > 0) {
    for await (const bytes of createReadStream(file, { end: length - 1 })) {
      hash.update(bytes as Buffer);
    }
  }
  await using handle = await open(file);
  const { buffer } = await handle.read(Buffer.alloc(checksumBytes), { position: length });
  if (!hash.digest().equals(buffer)) throw corrupt(file, 'does not match its checksum');
}

function parseLine(file: string, text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch (cause) {
    throw corrupt(file, 'holds a line that is not JSON', cause);
  }
}

function toEntry(line: Record<string, unknown>): RestoredEntry {
  const bytes = (name: string): string =>
    Buffer.from(String(line[name]), 'base64').toString('latin1');
  const { createRevision, modRevision, version } = line as unknown as RestoredEntry;
  return { key: bytes('key'), value: bytes('value'), createRevision, modRevision, version };
}

function corrupt(file: string, what: string, cause?: unknown): WaymarkError {
  return new WaymarkError('corrupt', `${file} ${what}`, { file }, cause);
}
