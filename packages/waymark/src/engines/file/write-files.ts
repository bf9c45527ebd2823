import type { Entry, Lease, LeaseId, Revision } from '../../core/engine.js';
import type { CommitRecord } from '../kit/journal.js';
import type { Disk, DiskFile } from './disk.js';
import { encodeHeader, type FileKind, sealFrame } from './frames.js';
import { logName, markName, snapshotName, temporary } from './names.js';
import { type BeginRecord, type FileRecord, RecordWriter } from './records.js';

const frameBytes = 1_048_576;
/** A snapshot is flushed in steps, so that the log beside it never waits behind one large flush. */
const syncBytes = 2 * 1_048_576;
/** Of a lease that ended: no time passes while a snapshot is loaded. */
const endedTtlMs = 1_000;

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
  readonly leases: Iterable<Lease>;
  /** Pages in any order of keys, none empty. */
  readonly pages: AsyncIterable<readonly Entry[]> | Iterable<readonly Entry[]>;
  /** When the entries are those of an earlier revision: what came since, none left out. */
  readonly history?: SnapshotHistory | undefined;
}

export interface SnapshotHistory {
  /** That of the entries. */
  readonly after: Revision;
  readonly commits: AsyncIterable<readonly CommitRecord[]>;
}

export interface SnapshotBytes {
  readonly whole: number;
  /** Without history. */
  readonly state: number;
}

export async function writeSnapshot(
  disk: Disk,
  of: Origin,
  content: SnapshotContent,
): Promise<SnapshotBytes> {
  const { identity, epoch } = of;
  const { history } = content;
  const header = { kind: 'snap', number: of.number, salt: of.salt } as const;
  const name = snapshotName(of.number);
  let state = 0;
  const fill = async (file: FrameFile): Promise<void> => {
    const revision = history?.after ?? of.revision;
    file.write({ type: 'begin', revision, identity, epoch, previousEnd: 0 });
    const leases = new SnapshotLeases(file);
    for (const lease of content.leases) await leases.grant(lease);
    let entries = 0;
    for await (const page of content.pages) {
      for (const entry of page) {
        await leases.named(entry.lease);
        if (file.write({ type: 'entry', entry })) await file.flush();
      }
      entries += page.length;
    }
    if (history !== undefined) {
      await file.flush();
      state = file.size;
      await writeHistory(file, history, of.revision, leases);
    }
    file.write({ type: 'finish', entries });
  };
  const whole = await writeWhole(disk, name, header, fill, history !== undefined);
  return { whole, state: history === undefined ? whole : state };
}

async function writeHistory(
  file: FrameFile,
  { after, commits }: SnapshotHistory,
  through: Revision,
  leases: SnapshotLeases,
): Promise<void> {
  let last = after;
  for await (const page of commits) {
    for (const commit of page) {
      for (const { entry } of commit.changes) await leases.named(entry.lease);
      if (file.write(commit)) await file.flush();
      last = commit.revision;
    }
  }
  // The log that follows begins there: a snapshot that ended before it would be refused when it is all there is.
  if (last !== through) throw new Error(`history ends at revision ${last}, not at ${through}`);
  await leases.endOthers();
}

/** Which leases a snapshot has granted so far. One that ended within its history is granted when it is first named, and ends last. */
class SnapshotLeases {
  readonly #file: FrameFile;
  readonly #granted = new Set<LeaseId>([0]);
  readonly #ended: LeaseId[] = [];

  constructor(file: FrameFile) {
    this.#file = file;
  }

  async grant({ id, ttlMs }: Lease): Promise<void> {
    this.#granted.add(id);
    if (this.#file.write({ type: 'grant', id, ttlMs })) await this.#file.flush();
  }

  async named(id: LeaseId): Promise<void> {
    if (this.#granted.has(id)) return;
    this.#ended.push(id);
    await this.grant({ id, ttlMs: endedTtlMs });
  }

  async endOthers(): Promise<void> {
    for (const id of this.#ended) {
      if (this.#file.write({ type: 'end', id })) await this.#file.flush();
    }
  }
}

/** Written beside, flushed, renamed, and the name flushed too: the file is there whole or not at all. */
async function writeWhole(
  disk: Disk,
  name: string,
  header: { readonly kind: FileKind; readonly salt: number; readonly number: number },
  fill: (file: FrameFile) => unknown,
  withHistory = false,
): Promise<number> {
  const beside = name + temporary;
  const target = await disk.open(beside, 'lazy');
  try {
    await target.truncate(0);
    const file = new FrameFile(target, encodeHeader(header, withHistory), header.salt);
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

  constructor(file: DiskFile, header: Buffer, salt: number) {
    this.#file = file;
    this.#salt = salt;
    this.#pieces = [header];
  }

  /** Bytes flushed. */
  get size(): number {
    return this.#offset;
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
