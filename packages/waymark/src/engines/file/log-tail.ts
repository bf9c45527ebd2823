import type { Revision } from '../../core/engine.js';
import { WaymarkError } from '../../core/errors.js';
import { soon } from '../../core/soon.js';
import type { JournalRecord } from '../kit/journal.js';
import type { DiskFile } from './disk.js';
import { sealFrame } from './frames.js';
import { type Answer, answer, type Group, GroupQueue } from './group-queue.js';

/** Zeros are written ahead of the log in steps of this ... */
const reserveBytes = 1_048_576;
/** ... whenever less than this is left. */
const reserveBytesMin = 524_288;
const zeros = Buffer.alloc(reserveBytes);

/** Where a log is appended to. */
export interface TailPosition {
  readonly file: DiskFile;
  readonly offset: number;
  readonly salt: number;
  readonly sequence: number;
}

export interface TailOwner {
  /** Everything up to this revision is on the disk. */
  flushed(revision: Revision): void;
  /** `full`: writes can go on once there is space. `failed`: nothing is written any more. */
  troubled(kind: 'full' | 'failed', error: unknown): void;
  recovered(): void;
}

interface Barrier extends Answer {
  readonly upTo: number;
}

/**
 * The tail of the log. Records gather while a write is under way; then one write takes all of them to the disk (group
 * commit), and there is never more than one, so a frame is begun only after the one before is on the disk.
 *
 * Space is reserved ahead by writing zeros. That a disk is full then shows in the reserve, before a commit is evaluated,
 * and not in the middle of a record; and an overwrite of what is allocated needs no journal commit of the file system.
 */
export class LogTail {
  #at: TailPosition;
  #offset: number;
  #sequence: number;
  /** The file is allocated up to here. */
  #reservedEnd: number;
  readonly #owner: TailOwner;
  readonly #lazy: boolean;
  /** What waits behind the write under way. */
  readonly #queue: GroupQueue;
  #writing: Group | null = null;
  #filling: Promise<void> | null = null;
  #barrier: Barrier | null = null;
  #retrying: Promise<void> | null = null;
  #scheduled = false;
  #trouble: 'full' | 'failed' | null = null;
  /** The write under way met a full disk and is still to be repeated. */
  #unwritten = false;

  constructor(at: TailPosition, revision: Revision, lazy: boolean, owner: TailOwner) {
    this.#at = at;
    this.#offset = at.offset;
    this.#sequence = at.sequence;
    this.#reservedEnd = at.file.size;
    this.#queue = new GroupQueue(revision);
    this.#lazy = lazy;
    this.#owner = owner;
  }

  /** Bytes of the current file that hold records. */
  get size(): number {
    return this.#offset;
  }

  get pendingBytes(): number {
    return this.#queue.bytes + (this.#writing?.frame.length ?? 0);
  }

  append(record: JournalRecord): void {
    if (this.#trouble === 'failed') return;
    this.#queue.append(record);
    if (this.#scheduled || this.#writing !== null) return;
    this.#scheduled = true;
    // Commits of one turn go together: the write waits for the microtask queue.
    soon(() => {
      this.#scheduled = false;
      this.#next();
    });
  }

  /**
   * Resolves when all that was appended so far is on the disk.
   * @throws {WaymarkError} `uncertain`, or `unavailable` when it certainly is not
   */
  flushed(): Promise<void> {
    const last = this.#queue.lastAnswer();
    if (last !== null) return last;
    const writing = this.#writing;
    return writing === null ? Promise.resolve() : (writing.answer ??= answer()).promise;
  }

  /** Allocates space ahead. On a full disk the owner is told. */
  async reserve(): Promise<void> {
    // Behind a barrier the file is about to be closed.
    if (this.#filling === null && this.#barrier === null) this.#fill();
    await this.#filling;
  }

  /** Tries a full disk again: what is half-written is cut off and written anew. */
  retry(): Promise<void> {
    this.#retrying ??= this.#retry().finally(() => (this.#retrying = null));
    return this.#retrying;
  }

  /**
   * Resolves when all that was appended before the call is on the disk; later records gather and are held back until `turn`
   * or `release`.
   */
  barrier(): Promise<void> {
    this.#queue.close();
    this.#barrier = { ...answer(), upTo: this.#queue.appended };
    const { promise } = this.#barrier;
    this.#next();
    return promise.then(() => this.#filling ?? undefined);
  }

  /** Later records go to another file. Only behind a barrier. @returns the file before */
  turn(to: TailPosition): DiskFile {
    const { file } = this.#at;
    this.#at = to;
    this.#offset = to.offset;
    this.#sequence = to.sequence;
    this.#reservedEnd = to.file.size;
    this.release();
    return file;
  }

  release(): void {
    this.#barrier = null;
    this.#next();
  }

  /** Who waits for a barrier waits no longer. */
  stop(why: unknown): void {
    this.#barrier?.reject(why);
    this.#barrier = null;
  }

  /** Nothing is written any more: what is on the disk beside the log contradicts it. */
  fail(error: unknown): void {
    this.#failed(error);
  }

  /** Gives the reserve back and closes the file; nothing may be under way. @returns where the log ends */
  async close(): Promise<number> {
    await this.#filling;
    const { file } = this.#at;
    try {
      if (this.#trouble === null) await file.truncate(this.#offset);
      if (this.#trouble !== 'failed') await file.sync();
    } finally {
      await file.close();
    }
    return this.#offset;
  }

  #next(): void {
    if (this.#writing !== null || this.#trouble === 'failed') return;
    if (this.#queue.first === undefined && this.#barrier === null) this.#queue.close();
    const next = this.#queue.first;
    if (this.#barrier !== null && (next === undefined || next.upTo > this.#barrier.upTo)) {
      return this.#barrier.resolve();
    }
    if (next === undefined) return;
    const end = this.#offset + next.frame.length;
    // The reserve is being written behind its end: what would cross it waits for that.
    if (end > this.#reservedEnd && this.#filling !== null) return;
    this.#queue.shift();
    this.#writing = next;
    sealFrame(next.frame, this.#at.salt, this.#sequence);
    this.#write(next).catch((error: unknown) => this.#failed(error));
  }

  async #write(group: Group): Promise<void> {
    const { file } = this.#at;
    const end = this.#offset + group.frame.length;
    this.#reservedEnd = Math.max(this.#reservedEnd, end);
    try {
      await file.write(group.frame, this.#offset);
      if (this.#lazy) await file.sync();
    } catch (error) {
      if (isFull(error)) this.#full(error, true);
      else this.#failed(error);
      return;
    }
    this.#offset = end;
    this.#sequence++;
    this.#writing = null;
    this.#queue.giveBack(group.frame);
    this.#owner.flushed(group.revision);
    group.answer?.resolve();
    if (this.#reservedEnd - end < reserveBytesMin && this.#filling === null) this.#fill();
    this.#next();
  }

  async #retry(): Promise<void> {
    await this.#filling;
    const writing = this.#writing;
    if (this.#unwritten && writing !== null) {
      try {
        await this.#at.file.truncate(this.#offset);
      } catch (error) {
        return this.#failed(error);
      }
      this.#unwritten = false;
      this.#reservedEnd = this.#offset;
      await this.#write(writing);
      if (this.#unwritten) return;
    }
    await this.reserve();
  }

  #fill(): void {
    const { file } = this.#at;
    const from = this.#reservedEnd;
    this.#filling = file.write(zeros, from).then(
      () => {
        this.#reservedEnd = from + zeros.length;
        this.#filling = null;
        this.#clear();
        this.#next();
      },
      (error: unknown) => {
        this.#filling = null;
        if (!isFull(error)) return this.#failed(error);
        this.#full(error, false);
        this.#next();
      },
    );
  }

  #clear(): void {
    if (this.#trouble !== 'full' || this.#unwritten) return;
    this.#trouble = null;
    this.#owner.recovered();
  }

  /** What is evaluated already stays, and is written once there is space: who waits for it cannot know. */
  #full(error: unknown, inWrite: boolean): void {
    if (this.#trouble === 'failed') return;
    this.#trouble = 'full';
    this.#owner.troubled('full', error);
    if (!inWrite) return;
    this.#unwritten = true;
    const uncertain = new WaymarkError(
      'uncertain',
      'the disk is full: the commit is kept if it gets space',
      {},
      error,
    );
    this.#rejectAll(uncertain, uncertain);
  }

  #failed(error: unknown): void {
    if (this.#trouble === 'failed') return;
    this.#trouble = 'failed';
    this.#owner.troubled('failed', error);
    const why = error instanceof Error ? error.message : String(error);
    this.#rejectAll(
      new WaymarkError('uncertain', `the log failed, the commit may be kept: ${why}`, {}, error),
      new WaymarkError(
        'unavailable',
        `the log failed before the commit was sent to it: ${why}`,
        {},
        error,
      ),
    );
    this.#barrier?.reject(error);
    this.#queue.clear();
  }

  #rejectAll(sent: WaymarkError, unsent: WaymarkError): void {
    this.#writing?.answer?.reject(sent);
    if (this.#writing !== null) this.#writing.answer = null;
    this.#queue.rejectAll(unsent);
  }
}

export function isFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT';
}
