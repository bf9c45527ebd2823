import type { Clock, Random } from '../../core/clock.js';
import type { Entry, Revision } from '../../core/engine.js';
import type { CommitRecord } from '../kit/journal.js';
import type { Keyspace } from '../kit/keyspace.js';
import type { Disk } from './disk.js';
import type { LogTail, TailPosition } from './log-tail.js';
import { logName, numbersOf, snapshotName } from './names.js';
import type { Told } from './recovery.js';
import { createLog, type Origin, writeMark, writeSnapshot } from './write-files.js';

const entriesPerTurn = 250;
const changesPerTurn = 250;
const retryBytes = 262_144;

export interface SnapshotsOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly epoch: number;
  /** Size of the snapshot there is, without its history. */
  readonly snapshotBytes: number;
  /** A snapshot is due when the log has grown by so much, and by twice the last snapshot. Default 64 MiB. */
  readonly snapshotLogBytes?: number | undefined;
  readonly lazy: boolean;
  readonly told: Told;
}

/**
 * Cuts the log: turns to a new one at a moment when all before is flushed, writes the state of that moment beside it while
 * commits go on, and only then drops what it replaces. Where history is still needed, the state written is that of
 * the revision after which it is, and the commits since come behind it: so it goes over a restart, at the price of itself.
 */
export class Snapshots {
  readonly #keyspace: Keyspace;
  readonly #tail: LogTail;
  readonly #disk: Disk;
  readonly #options: SnapshotsOptions;
  #log: { readonly number: number; readonly salt: number };
  #bytes: number;
  /** After a failure the log that was to be cut is still there: the next try comes sooner. */
  #retryAt: number | null = null;
  #taking: Promise<void> | null = null;
  #closed = false;

  constructor(
    keyspace: Keyspace,
    tail: LogTail,
    disk: Disk,
    log: { readonly number: number; readonly salt: number },
    options: SnapshotsOptions,
  ) {
    this.#keyspace = keyspace;
    this.#tail = tail;
    this.#disk = disk;
    this.#log = log;
    this.#options = options;
    this.#bytes = options.snapshotBytes;
  }

  /** Starts a snapshot when one is due. */
  consider(): void {
    const standard = Math.max(this.#options.snapshotLogBytes ?? 64 * 1_048_576, 2 * this.#bytes);
    if (this.#taking !== null || this.#closed || this.#tail.size < (this.#retryAt ?? standard))
      return;
    this.#retryAt = null;
    this.#taking = this.#take()
      .catch((error: unknown) => {
        this.#retryAt = this.#tail.size + retryBytes;
        if (!this.#closed) this.#options.told(`no snapshot: ${String(error)}`);
      })
      .finally(() => (this.#taking = null));
  }

  /** There is space again: what failed for want of it is tried with the next write. */
  hurry(): void {
    if (this.#retryAt !== null) this.#retryAt = 0;
  }

  /** A snapshot under way is given up: the log still has all. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#tail.stop(new Error('the engine is closing'));
    await this.#taking;
  }

  /** Notes how far the log reached at a clean close. */
  async mark(end: number): Promise<void> {
    await writeMark(this.#disk, { ...this.#log, end });
  }

  async #take(): Promise<void> {
    const keyspace = this.#keyspace;
    const after = keyspace.neededAfter();
    const unpin = keyspace.pin(after);
    try {
      const revision = keyspace.head;
      // Taken in the same moment as the revision: later grants and ends go to the next log.
      const leases = keyspace.leases.all();
      const origin = await this.#turn(revision);
      const commits = this.#commits(after, revision);
      const history = after < revision ? { after, commits } : undefined;
      const pages = this.#pages(after);
      const bytes = await writeSnapshot(this.#disk, origin, { leases, pages, history });
      this.#bytes = bytes.state;
      await this.#dropBefore(origin.number);
      const since = history === undefined ? '' : `, with history after revision ${after}`;
      this.#options.told(
        `${snapshotName(origin.number)}: revision ${revision}, ${bytes.whole} bytes${since}`,
      );
    } finally {
      unpin();
    }
  }

  /** Everything up to now stays in the old log; the next record goes to a new one. */
  async #turn(revision: Revision): Promise<Origin> {
    const { random, epoch, lazy } = this.#options;
    const number = this.#log.number + 1;
    const salt = Math.floor(random.next() * 2 ** 32);
    const origin: Origin = { number, salt, identity: this.#keyspace.identity, epoch, revision };
    await this.#tail.barrier();
    const previousEnd = this.#tail.size;
    let next: TailPosition;
    try {
      const offset = await createLog(this.#disk, origin, previousEnd);
      const file = await this.#disk.open(logName(number), lazy ? 'lazy' : 'durable');
      next = { file, offset, salt, sequence: 2 };
    } catch (error) {
      await this.#stay(number);
      throw error;
    }
    const old = this.#tail.turn(next);
    this.#log = origin;
    await old.truncate(previousEnd);
    await old.close();
    return origin;
  }

  /** The old log goes on, so a new one must not be found after it. */
  async #stay(number: number): Promise<void> {
    try {
      await this.#disk.remove(logName(number));
      await this.#disk.syncDirectory();
      this.#tail.release();
    } catch (error) {
      this.#tail.fail(error);
    }
  }

  /** A few entries a turn, from history, so that it neither stops the event loop nor doubles memory. */
  async *#pages(revision: Revision): AsyncGenerator<readonly Entry[]> {
    for (let from = ''; ;) {
      if (this.#closed) throw new Error('the engine is closing');
      const page = this.#keyspace.entriesAt(revision, from, entriesPerTurn);
      const last = page.at(-1);
      if (last === undefined) return;
      yield page;
      from = `${last.key}\0`;
      await new Promise<void>((resolve) => this.#options.clock.nextTurn(resolve));
    }
  }

  async *#commits(after: Revision, through: Revision): AsyncGenerator<readonly CommitRecord[]> {
    for (let last = after; ;) {
      if (this.#closed) throw new Error('the engine is closing');
      const page = this.#keyspace.commitsAfter(last, through, changesPerTurn);
      const newest = page.at(-1);
      if (newest === undefined) return;
      yield page;
      last = newest.revision;
      await new Promise<void>((resolve) => this.#options.clock.nextTurn(resolve));
    }
  }

  async #dropBefore(number: number): Promise<void> {
    const names = await this.#disk.list();
    for (const old of numbersOf(names, 'log'))
      if (old < number) await this.#disk.remove(logName(old));
    for (const old of numbersOf(names, 'snapshot')) {
      if (old < number) await this.#disk.remove(snapshotName(old));
    }
    await this.#disk.syncDirectory();
  }
}
