import { createHash } from 'node:crypto';
import type { Clock, Engine } from 'waymark/engine';
import { type BackupHeader, backupLines } from '../backup.js';

export interface Blob {
  readonly bytes: Buffer;
  /** Of what is there still to come, without the checksum. */
  readonly remaining: number;
}

const blobBytes = 65_536;
/** etcdctl takes a snapshot for whole when its length is a multiple of this and 32 bytes of SHA-256. */
const blockBytes = 512;
const newline = 10;

/**
 * A backup of everything, as `waymark restore` reads it, cut into blobs; the last is its SHA-256. It is read twice: how much there is to come
 * is told with the first blob, and nothing is kept in memory.
 */
export async function* snapshotOf(
  { engine, clock }: { readonly engine: Engine; readonly clock: Clock },
  options: { readonly signal: AbortSignal },
): AsyncGenerator<Blob> {
  const { revision, identity } = await engine.status(options);
  const header: BackupHeader = { revision, identity, sealed: 'sha256' };
  let length = 0;
  for await (const lines of backupLines(engine, header, options)) {
    length += lines.length;
    await new Promise<void>((resolve) => clock.nextTurn(resolve));
  }
  const padding = Buffer.alloc((blockBytes - (length % blockBytes)) % blockBytes, ' ');
  const hash = createHash('sha256');
  let remaining = length + padding.length;
  for await (const bytes of inBlobs(backupLines(engine, header, options), padding)) {
    hash.update(bytes);
    remaining -= bytes.length;
    yield { bytes, remaining };
  }
  yield { bytes: hash.digest(), remaining: 0 };
}

/** The padding ends the last line. */
async function* inBlobs(pieces: AsyncIterable<string>, padding: Buffer): AsyncGenerator<Buffer> {
  let waiting = Buffer.alloc(0);
  for await (const lines of pieces) {
    waiting = Buffer.concat([waiting, Buffer.from(lines, 'latin1')]);
    for (; waiting.length > blobBytes; waiting = waiting.subarray(blobBytes)) {
      yield waiting.subarray(0, blobBytes);
    }
  }
  yield Buffer.concat([waiting.subarray(0, -1), padding, Buffer.of(newline)]);
}
