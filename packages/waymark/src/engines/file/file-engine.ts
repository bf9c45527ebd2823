import type { Clock, Random } from '../../core/clock.js';
import type * as core from '../../core/engine.js';
import { WaymarkError } from '../../core/errors.js';
import { systemClock, systemRandom } from '../../core/system-clock.js';
import type { JournalRecord } from '../kit/journal.js';
import { type HistoryBounds, Keyspace } from '../kit/keyspace.js';
import { lazyWatch } from '../kit/lazy-watch.js';
import { lockDirectory } from '../kit/directory-lock.js';
import { type Disk, realDisk } from './disk.js';
import { failed, messageOf, unlessAborted } from './endings.js';
import { HeldClock } from './held-clock.js';
import { isFull, LogTail } from './log-tail.js';
import { logName } from './names.js';
import { recover, type RecoveredLog, type Told } from './recovery.js';
import { Snapshots } from './snapshots.js';
import { createLog, type Origin } from './write-files.js';

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

/**
 * Opens an engine that keeps its state in memory and on disk in `directory`: an append-only log, cut by snapshots.
 *
 * @throws {WaymarkError} `taken` when a process has it, naming it; `corrupt` with file and offset; `invalid` for a newer
 *                        format; `storage_full` when there is no space for a new directory
 * @see docs/spec/file-format.md
 */
export async function openFileEngine(
  directory: string,
  options: FileEngineOptions = {},
): Promise<core.Engine> {
  const disk = options.disk ?? realDisk(directory);
  await disk.make();
  const lock = options.disk === undefined ? await lockDirectory(directory) : null;
  try {
    return await FileEngine.open(disk, lock, options);
  } catch (error) {
    await lock?.[Symbol.asyncDispose]();
    if (!isFull(error)) throw error;
    throw new WaymarkError('storage_full', `no space to begin a log in ${directory}`, {}, error);
  }
}

class FileEngine implements core.Engine {
  readonly #keyspace: Keyspace;
  readonly #lazy: boolean;
  readonly #told: Told;
  readonly #lock: AsyncDisposable | null;
  #tail!: LogTail;
  #snapshots!: Snapshots;
  #trouble: { readonly kind: 'full' | 'failed'; readonly error: unknown } | null = null;
  #closed: Promise<void> | null = null;

  private constructor(
    options: FileEngineOptions,
    clock: Clock,
    random: Random,
    lock: AsyncDisposable | null,
  ) {
    this.#lazy = options.durability === 'async';
    this.#told = options.told ?? (() => undefined);
    this.#lock = lock;
    const { history } = options;
    const journal = (record: JournalRecord): void => this.#journal(record);
    this.#keyspace = new Keyspace({ clock, random, history, identity: random.id(), journal });
  }

  static async open(
    disk: Disk,
    lock: AsyncDisposable | null,
    options: FileEngineOptions,
  ): Promise<FileEngine> {
    const { random = systemRandom } = options;
    const clock = new HeldClock(options.clock ?? systemClock);
    const engine = new FileEngine(options, clock, random, lock);
    const keyspace = engine.#keyspace;
    const recovered = await recover(disk, keyspace, engine.#told);
    keyspace.identity = recovered.identity ?? keyspace.identity;
    const { identity } = keyspace;
    const salt = Math.floor(random.next() * 2 ** 32);
    const origin: Origin = {
      salt,
      number: 1,
      identity,
      epoch: recovered.epoch,
      revision: keyspace.head,
    };
    const log: RecoveredLog = recovered.log ?? {
      number: 1,
      salt,
      end: await createLog(disk, origin, 0),
      sequence: 2,
    };
    await engine.#begin(disk, log, { ...options, clock, random, ...recovered });
    clock.release();
    return engine;
  }

  /** What the log holds may come from the page cache of a process that died: it is flushed before anyone sees it. */
  async #begin(
    disk: Disk,
    log: RecoveredLog,
    options: {
      clock: Clock;
      random: Random;
      epoch: number;
      snapshotBytes: number;
      snapshotLogBytes?: number | undefined;
    },
  ): Promise<void> {
    const file = await disk.open(logName(log.number), this.#lazy ? 'lazy' : 'durable');
    await file.sync();
    await disk.syncDirectory();
    const at = { file, offset: log.end, salt: log.salt, sequence: log.sequence };
    this.#tail = new LogTail(at, this.#keyspace.head, this.#lazy, {
      flushed: (revision) => {
        this.#keyspace.publish(revision);
        this.#snapshots.consider();
      },
      troubled: (kind, error) => this.#troubled(kind, error),
      recovered: () => this.#recovered(),
    });
    this.#snapshots = new Snapshots(this.#keyspace, this.#tail, disk, log, {
      ...options,
      lazy: this.#lazy,
      told: this.#told,
    });
    await this.#tail.reserve();
  }

  async read(query: core.Query, options?: core.ReadOptions): Promise<core.Reading> {
    options?.signal?.throwIfAborted();
    return this.#keyspace.read(query);
  }

  async commit(txn: core.Txn, options?: core.CommitOptions): Promise<core.Outcome> {
    if (this.#busy()) await this.#admit();
    options?.signal?.throwIfAborted();
    const outcome = this.#keyspace.commit(txn, options?.wide);
    if (outcome.revision > this.#keyspace.published) await this.#onDisk(options?.signal);
    return outcome;
  }

  watch(ranges: readonly core.KeyRange[], options?: core.WatchOptions): AsyncIterable<core.Batch> {
    return lazyWatch(() => this.#keyspace.watch(ranges, options));
  }

  async grant(ttlMs: number, options?: core.GrantOptions): Promise<core.Lease> {
    if (this.#busy()) await this.#admit();
    options?.signal?.throwIfAborted();
    const lease = this.#keyspace.grant(ttlMs, options?.id);
    await this.#onDisk(options?.signal);
    // The TTL counts from the answer, however long the disk took: never shorter than granted.
    return this.#keyspace.renew(lease.id);
  }

  /** Renewals are not written down: a restart gives every lease its whole TTL. On a full disk they go on. */
  async renew(id: core.LeaseId, options?: core.CallOptions): Promise<core.Lease> {
    options?.signal?.throwIfAborted();
    this.#refuseFailed();
    return this.#keyspace.renew(id);
  }

  async revoke(
    id: core.LeaseId,
    options?: core.CallOptions,
  ): Promise<{ readonly revision: core.Revision }> {
    if (this.#busy()) await this.#admit();
    options?.signal?.throwIfAborted();
    const revoked = this.#keyspace.revoke(id);
    await this.#onDisk(options?.signal);
    return revoked;
  }

  async lease(id: core.LeaseId, options?: core.CallOptions): Promise<core.LeaseState | null> {
    options?.signal?.throwIfAborted();
    this.#refuseFailed();
    const state = this.#keyspace.lease(id);
    if (this.#trouble === null) await this.#onDisk(options?.signal);
    return state;
  }

  async leases(options?: core.CallOptions): Promise<readonly core.LeaseId[]> {
    options?.signal?.throwIfAborted();
    this.#refuseFailed();
    const ids = this.#keyspace.leases.ids();
    if (this.#trouble === null) await this.#onDisk(options?.signal);
    return ids;
  }

  async compact(through: core.Revision, options?: core.CallOptions): Promise<void> {
    if (this.#busy()) await this.#admit();
    options?.signal?.throwIfAborted();
    this.#keyspace.compact(through);
    await this.#onDisk(options?.signal);
  }

  async status(options?: core.CallOptions): Promise<core.EngineStatus> {
    options?.signal?.throwIfAborted();
    return this.#keyspace.status('file');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    const unwritten = this.#trouble === null ? this.#tail.flushed() : Promise.resolve();
    this.#keyspace.close();
    await unwritten.catch(() => undefined);
    try {
      await this.#snapshots.close();
      const whole = this.#trouble === null;
      const end = await this.#tail.close();
      if (whole) await this.#snapshots.mark(end);
    } catch (error) {
      this.#told(`the log was not closed well: ${messageOf(error)}`);
    } finally {
      await this.#lock?.[Symbol.asyncDispose]();
    }
  }

  /** Called by the keyspace for each change of state, in order. */
  #journal(record: JournalRecord): void {
    this.#tail.append(record);
    if (this.#lazy && record.type === 'commit') this.#keyspace.publish(record.revision);
  }

  #onDisk(signal?: AbortSignal): Promise<void> {
    if (this.#lazy) return Promise.resolve();
    const flushed = this.#tail.flushed();
    return signal === undefined ? flushed : unlessAborted(flushed, signal);
  }

  #busy(): boolean {
    return this.#trouble !== null || this.#tail.pendingBytes > pendingBytesMax;
  }

  /** On a full disk each call tries whether there is space again, so that writes resume by themselves. */
  async #admit(): Promise<void> {
    this.#refuseFailed();
    if (this.#trouble !== null) await this.#tail.retry();
    this.#refuseFailed();
    if (this.#trouble !== null) {
      const { error } = this.#trouble;
      throw new WaymarkError(
        'storage_full',
        'the disk is full: make space, writes go on by themselves',
        {},
        error,
      );
    }
    if (this.#tail.pendingBytes > pendingBytesMax) {
      throw new WaymarkError('overloaded', 'the disk is slower than the writes: try again later', {
        retryAfterMs: 100,
      });
    }
  }

  #refuseFailed(): void {
    if (this.#trouble?.kind !== 'failed') return;
    throw failed(this.#trouble.error);
  }

  /**
   * Any error but a full disk: the page cache can no longer be trusted, so nothing is written or flushed again until a restart
   * reads what is really there (PostgreSQL's lesson of 2018: never repeat a failed fsync). Reads go on.
   */
  #troubled(kind: 'full' | 'failed', error: unknown): void {
    if (kind === 'full' && this.#trouble !== null) return;
    this.#trouble = { kind, error };
    const message = messageOf(error);
    if (kind === 'full') return this.#told(`the disk is full, commits are refused: ${message}`);
    this.#told(`the log cannot be written, restart needed: ${message}`);
    this.#keyspace.fail(failed(error));
  }

  #recovered(): void {
    this.#trouble = null;
    this.#snapshots.hurry();
    this.#told('there is space on the disk again, commits go on');
  }
}
