import type { Clock, Random } from '../../core/clock.js';
import type * as core from '../../core/engine.js';
import { WaymarkError } from '../../core/errors.js';
import { systemClock, systemRandom } from '../../core/system-clock.js';
import { type HistoryBounds, Keyspace } from '../kit/keyspace.js';
import { lazyWatch } from '../kit/lazy-watch.js';
import { lockDirectory } from './directory-lock.js';
import { type Disk, realDisk } from './disk.js';
import { encodeHeader, headerBytes, sealFrame } from './frames.js';
import { LogTail } from './log.js';
import { logName, numbersOf, recover, type Recovered, snapshotName, type Told } from './recovery.js';
import { RecordWriter } from './records.js';
import { writeSnapshot } from './snapshot.js';

export interface FileEngineOptions {
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
  readonly history?: HistoryBounds | undefined;
  /** 'flushed' (default): a commit is answered and seen once it is on the disk. 'async': before; a crash loses the last ones. */
  readonly durability?: 'flushed' | 'async' | undefined;
  /** A snapshot is taken when the log has grown by so much, and by twice the last snapshot. Default 64 MiB. */
  readonly snapshotLogBytes?: number | undefined;
  /** Told of cut tails, long replays, snapshots and trouble with the disk. Default: silent. */
  readonly told?: Told | undefined;
  /** Default: the real one. A given disk is not locked against other processes. */
  readonly disk?: Disk | undefined;
}

/** Commits beyond this wait on the disk are refused (`overloaded`). */
const pendingBytesMax = 256 * 1_048_576;
const retryFullMs = 1_000;

/**
 * Opens an engine that keeps its state in memory and on disk in `directory`: an append-only log, cut by snapshots.
 *
 * @throws {WaymarkError} `taken` when another process has it, `corrupt` with file and offset, `invalid` for a newer format
 * @see docs/spec/file-format.md
 */
export async function openFileEngine(directory: string, options: FileEngineOptions = {}): Promise<core.Engine> {
  const { clock = systemClock, random = systemRandom, told = () => undefined } = options;
  const disk = options.disk ?? realDisk(directory);
  await disk.list();
  const lock = options.disk === undefined ? await lockDirectory(directory) : null;
  try {
    const identity = { value: random.id() };
    let journal: FileEngine | null = null;
    const { history } = options;
    const recovered = await recover(
      disk,
      () =>
        new Keyspace({ clock, random, history, identity: identity.value, journal: (r) => journal?.journal(r) }),
      told,
    );
    const parts = { ...options, clock, random, told, disk, lock };
    journal = await FileEngine.open(recovered, identity.value, parts);
    return journal;
  } catch (error) {
    await lock?.[Symbol.asyncDispose]();
    throw error;
  }
}

interface Parts extends FileEngineOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly told: Told;
  readonly disk: Disk;
  readonly lock: AsyncDisposable | null;
}

interface Waiter {
  readonly upTo: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

class FileEngine implements core.Engine {
  readonly #keyspace: Keyspace;
  readonly #disk: Disk;
  readonly #parts: Parts;
  readonly #lazy: boolean;
  #tail!: LogTail;
  #number: number;
  #snapshotBytes: number;
  #flushedRecords = 0;
  /** What each record's flush publishes, oldest first. */
  #unpublished: { readonly record: number; readonly revision: core.Revision }[] = [];
  #waiters: Waiter[] = [];
  #trouble: { readonly kind: 'full' | 'failed'; readonly error: unknown } | null = null;
  #snapshotting: Promise<void> | null = null;
  #closed = false;

  private constructor(keyspace: Keyspace, number: number, snapshotBytes: number, parts: Parts) {
    this.#keyspace = keyspace;
    this.#number = number;
    this.#snapshotBytes = snapshotBytes;
    this.#parts = parts;
    this.#disk = parts.disk;
    this.#lazy = parts.durability === 'async';
  }

  static async open(recovered: Recovered & { keyspace: Keyspace }, identity: string, parts: Parts): Promise<FileEngine> {
    const { keyspace, log, snapshotBytes } = recovered;
    keyspace.identity = recovered.identity ?? identity;
    const whole = log !== null && log.end >= headerBytes ? log : null;
    const engine = new FileEngine(keyspace, whole?.number ?? log?.number ?? 1, snapshotBytes, parts);
    const at = whole ?? { ...(await engine.#createLog(engine.#number)), sequence: 2 };
    const file = await engine.#disk.open(logName(engine.#number), engine.#lazy ? 'lazy' : 'durable');
    engine.#tail = new LogTail(
      { file, offset: at.end, salt: at.salt, sequence: at.sequence, lazy: engine.#lazy },
      { flushed: (records) => engine.#flushed(records), failed: (error) => engine.#failed(error) },
    );
    return engine;
  }

  /** Called by the keyspace for each change of state, in order. */
  journal(record: Parameters<LogTail['append']>[0]): void {
    this.#tail.append(record);
    if (record.type === 'commit') {
      if (this.#lazy) this.#keyspace.publish(record.revision);
      else this.#unpublished.push({ record: this.#tail.appended, revision: record.revision });
    }
  }

  async read(query: core.Query, options?: core.ReadOptions): Promise<core.Reading> {
    options?.signal?.throwIfAborted();
    return this.#keyspace.read(query);
  }

  async commit(txn: core.Txn, options?: core.CommitOptions): Promise<core.Outcome> {
    options?.signal?.throwIfAborted();
    this.#refuseInTrouble();
    const outcome = this.#keyspace.commit(txn);
    if (outcome.revision > this.#keyspace.published) await this.#onDisk();
    return outcome;
  }

  watch(ranges: readonly core.KeyRange[], options?: core.WatchOptions): AsyncIterable<core.Batch> {
    return lazyWatch(() => this.#keyspace.watch(ranges, options));
  }

  async grant(ttlMs: number, options?: core.GrantOptions): Promise<core.Lease> {
    options?.signal?.throwIfAborted();
    this.#refuseInTrouble();
    const lease = this.#keyspace.grant(ttlMs, options?.id);
    await this.#onDisk();
    // The TTL counts from the answer, however long the disk took: never shorter than granted.
    return this.#keyspace.renew(lease.id);
  }

  async renew(id: core.LeaseId, options?: core.CallOptions): Promise<core.Lease> {
    options?.signal?.throwIfAborted();
    return this.#keyspace.renew(id);
  }

  async revoke(id: core.LeaseId, options?: core.CallOptions): Promise<{ readonly revision: core.Revision }> {
    options?.signal?.throwIfAborted();
    this.#refuseInTrouble();
    const revoked = this.#keyspace.revoke(id);
    await this.#onDisk();
    return revoked;
  }

  async lease(id: core.LeaseId, options?: core.CallOptions): Promise<core.LeaseState | null> {
    options?.signal?.throwIfAborted();
    return this.#keyspace.lease(id);
  }

  async leases(options?: core.CallOptions): Promise<readonly core.LeaseId[]> {
    options?.signal?.throwIfAborted();
    return this.#keyspace.leases.ids();
  }

  async compact(through: core.Revision, options?: core.CallOptions): Promise<void> {
    options?.signal?.throwIfAborted();
    this.#refuseInTrouble();
    this.#keyspace.compact(through);
    await this.#onDisk();
  }

  async status(options?: core.CallOptions): Promise<core.EngineStatus> {
    options?.signal?.throwIfAborted();
    return this.#keyspace.status('file');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#snapshotting;
    if (this.#trouble === null && !this.#tail.idle) await this.#onDisk().catch(() => undefined);
    this.#keyspace.close();
    await this.#tail.close();
    await this.#parts.lock?.[Symbol.asyncDispose]();
  }

  /** Resolves when all that was appended so far is on the disk. */
  #onDisk(): Promise<void> {
    const upTo = this.#tail.appended;
    if (this.#lazy || this.#flushedRecords >= upTo) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiters.push({ upTo, resolve, reject }));
  }

  #flushed(records: number): void {
    this.#flushedRecords = records;
    let published = 0;
    while (published < this.#unpublished.length && (this.#unpublished[published]?.record ?? 0) <= records) published++;
    const newest = this.#unpublished[published - 1];
    if (newest !== undefined) this.#keyspace.publish(newest.revision);
    this.#unpublished.splice(0, published);
    if (this.#trouble?.kind === 'full') {
      this.#trouble = null;
      this.#parts.told('there is space on the disk again: writes go on');
    }
    let answered = 0;
    while (answered < this.#waiters.length && (this.#waiters[answered]?.upTo ?? 0) <= records) answered++;
    for (const waiter of this.#waiters.splice(0, answered)) waiter.resolve();
    this.#maybeSnapshot();
  }

  /**
   * A full disk: what is under way may still be written once there is space, so it ends `uncertain`; later commits are refused before any
   * work. Any other error: the page cache can no longer be trusted, so nothing is written again until a restart reads
   * what is really there (PostgreSQL's lesson of 2018: never repeat a failed fsync).
   */
  #failed(error: unknown): void {
    const full = (error as NodeJS.ErrnoException).code === 'ENOSPC';
    this.#trouble = { kind: full ? 'full' : 'failed', error };
    const message = error instanceof Error ? error.message : String(error);
    this.#parts.told(full ? `the disk is full: ${message}` : `the log cannot be written, restart needed: ${message}`);
    const uncertain = new WaymarkError('uncertain', `the commit may be kept: ${message}`, {}, error);
    for (const waiter of this.#waiters.splice(0)) waiter.reject(uncertain);
    if (full) this.#retryLater();
  }

  #retryLater(): void {
    this.#parts.clock.after(retryFullMs, () => {
      if (!this.#closed) this.#tail.retry().catch((error: unknown) => this.#failed(error));
    });
  }

  #refuseInTrouble(): void {
    const trouble = this.#trouble;
    if (trouble?.kind === 'full') {
      throw new WaymarkError('storage_full', 'the disk is full: make space, writes go on by themselves', {}, trouble.error);
    }
    if (trouble !== null) {
      throw new WaymarkError('unavailable', 'the log cannot be written: restart to go on', {}, trouble.error);
    }
    if (this.#tail.pendingBytes > pendingBytesMax) {
      throw new WaymarkError('overloaded', 'the disk is slower than the writes: try again later', { retryAfterMs: 100 });
    }
  }

  /** A log begins with the engine's identity. @returns where it goes on */
  async #createLog(number: number): Promise<{ salt: number; end: number }> {
    const salt = Math.floor(this.#parts.random.next() * 2 ** 32);
    const writer = new RecordWriter();
    writer.write({ type: 'begin', revision: this.#keyspace.head, identity: this.#keyspace.identity });
    const start = Buffer.concat([
      encodeHeader({ kind: 'log ', salt, number }),
      sealFrame(writer.take(), salt, 1),
    ]);
    const file = await this.#disk.open(logName(number), 'lazy');
    await file.truncate(0);
    await file.write(start, 0);
    await file.sync();
    await file.close();
    await this.#disk.syncDirectory();
    return { salt, end: start.length };
  }

  #maybeSnapshot(): void {
    const threshold = Math.max(this.#parts.snapshotLogBytes ?? 64 * 1_048_576, 2 * this.#snapshotBytes);
    if (this.#snapshotting !== null || this.#closed || this.#tail.size < threshold || !this.#tail.idle) return;
    this.#snapshotting = this.#snapshot()
      .catch((error: unknown) => this.#parts.told(`no snapshot: ${String(error)}`))
      .finally(() => (this.#snapshotting = null));
  }

  /** Turns to a new log at a moment when the old one is flushed, then writes the state of that moment beside it. */
  async #snapshot(): Promise<void> {
    const number = this.#number + 1;
    const { salt, end } = await this.#createLog(number);
    const file = await this.#disk.open(logName(number), this.#lazy ? 'lazy' : 'durable');
    while (!this.#tail.idle) await this.#onDisk();
    const old = this.#tail.turn({ file, offset: end, salt, sequence: 2 });
    this.#number = number;
    const revision = this.#keyspace.head;
    const unpin = this.#keyspace.pin(revision);
    const leases = [...this.#keyspace.leases.all()].map(({ id, ttlMs }) => ({ id, ttlMs }));
    try {
      await old.close();
      const of = { number, salt, identity: this.#keyspace.identity, revision, leases };
      this.#snapshotBytes = await writeSnapshot(this.#disk, this.#keyspace, this.#parts.clock, of);
    } finally {
      unpin();
    }
    await this.#dropBefore(number);
    this.#parts.told(`snapshot ${number} at revision ${revision}: ${this.#snapshotBytes} bytes`);
  }

  async #dropBefore(number: number): Promise<void> {
    const names = await this.#disk.list();
    for (const old of numbersOf(names, 'log')) if (old < number) await this.#disk.remove(logName(old));
    for (const old of numbersOf(names, 'snapshot')) {
      if (old < number) await this.#disk.remove(snapshotName(old));
    }
    await this.#disk.syncDirectory();
  }
}
