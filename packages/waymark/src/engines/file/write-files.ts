import type { Entry, Revision } from '../../core/engine.js';
import type { Disk, DiskFile } from './disk.js';
import { encodeHeader, type FileKind, sealFrame } from './frames.js';
import { logName, markName, snapshotName, temporary } from './names.js';
import { type BeginRecord, type FileRecord, RecordWriter } from './records.js';

const frameBytes = 1_048_576;
/** A snapshot is flushed in steps, so that the log beside it never waits behind one large flush. */
const syncBytes = 2 * 1_048_576;

/** What a new file needs to know of the data it belongs to. */
export interface Origin {
  readonly salt: number;
  readonly number: number;
  readonly identity: string;
  readonly epoch: number;
  readonly revision: Revision;
}

/** Writes an empty log, whole or not at all. @returns where it goes on */
export async function createLog(disk: Disk, of: Origin, previousEnd: number): Promise<number> {
  const { revision, identity, epoch } = of;
  const begin: BeginRecord = { type: 'begin', revision, identity, epoch, previousEnd };
  return await writeWhole(disk, logName(of.number), { kind: 'log ', ...of }, (file) =>
    file.write(begin),
  );
}

export async function writeMark(
  disk: Disk,
  of: { salt: number; number: number; end: number },
): Promise<void> {
  await writeWhole(disk, markName, { kind: 'mark', salt: of.salt, number: of.number }, (file) =>
    file.write({ type: 'mark', number: of.number, end: of.end }),
  );
}

export interface SnapshotContent {
  readonly leases: Iterable<{ readonly id: number; readonly ttlMs: number }>;
  /** Pages in any order of keys, none empty. */
  readonly pages: AsyncIterable<readonly Entry[]> | Iterable<readonly Entry[]>;
}

/** @returns its size in bytes */
export async function writeSnapshot(
  disk: Disk,
  of: Origin,
  content: SnapshotContent,
): Promise<number> {
  const { revision, identity, epoch } = of;
  return await writeWhole(disk, snapshotName(of.number), { kind: 'snap', ...of }, async (file) => {
    file.write({ type: 'begin', revision, identity, epoch, previousEnd: 0 });
    for (const { id, ttlMs } of content.leases) {
      if (file.write({ type: 'grant', id, ttlMs })) await file.flush();
    }
    let entries = 0;
    for await (const page of content.pages) {
      for (const entry of page) if (file.write({ type: 'entry', entry })) await file.flush();
      entries += page.length;
    }
    file.write({ type: 'finish', entries });
  });
}

/** Written beside, flushed, renamed, and the name flushed too: the file is there whole or not at all. */
async function writeWhole(
  disk: Disk,
  name: string,
  header: { readonly kind: FileKind; readonly salt: number; readonly number: number },
  fill: (file: FrameFile) => unknown,
): Promise<number> {
  const beside = name + temporary;
  const target = await disk.open(beside, 'lazy');
  try {
    await target.truncate(0);
    const file = new FrameFile(target, header);
    await fill(file);
    await file.finish();
  } catch (error) {
    await target.close();
    // Half a file is only in the way, most of all when the disk is full.
    await disk.remove(beside).catch(() => undefined);
    throw error;
  }
  await target.close();
  await disk.rename(beside, name);
  await disk.syncDirectory();
  return target.size;
}

class FrameFile {
  readonly #file: DiskFile;
  readonly #salt: number;
  readonly #writer = new RecordWriter();
  #pieces: Buffer[];
  #offset = 0;
  #sequence = 1;
  #synced = 0;

  constructor(file: DiskFile, header: { kind: FileKind; salt: number; number: number }) {
    this.#file = file;
    this.#salt = header.salt;
    this.#pieces = [encodeHeader(header)];
  }

  /** @returns true when it is time to `flush` */
  write(record: FileRecord): boolean {
    this.#writer.write(record);
    return this.#writer.bytes >= frameBytes;
  }

  async flush(): Promise<void> {
    if (this.#writer.bytes > 0) {
      this.#pieces.push(sealFrame(this.#writer.take(), this.#salt, this.#sequence++));
    }
    for (const piece of this.#pieces.splice(0)) {
      await this.#file.write(piece, this.#offset);
      this.#offset += piece.length;
      this.#writer.giveBack(piece);
    }
    if (this.#offset - this.#synced < syncBytes) return;
    await this.#file.sync();
    this.#synced = this.#offset;
  }

  async finish(): Promise<void> {
    await this.flush();
    await this.#file.sync();
  }
}
