import type { JournalRecord } from '../kit/journal.js';
import type { DiskFile } from './disk.js';
import { sealFrame } from './frames.js';
import { RecordWriter } from './records.js';

/** One frame takes at most about this; what has gathered beyond it goes into the next. */
const frameBytesMax = 4 * 1_048_576;

/**
 * The tail of the log. Records gather while a write is under way; then one write takes all of them to the disk (group commit). A failed
 * write is not repeated on its own: the owner decides, see `retry`.
 */
export class LogTail {
  #file: DiskFile;
  #offset: number;
  #salt: number;
  #sequence: number;
  readonly #lazy: boolean;
  readonly #flushed: (records: number) => void;
  readonly #failed: (error: unknown) => void;
  #writer = new RecordWriter();
  /** Full writers that wait behind a write, oldest first, with how many records were appended by their end. */
  #full: { frame: Buffer; upTo: number }[] = [];
  #writing: { frame: Buffer; upTo: number } | null = null;
  #scheduled = false;
  #stopped = false;
  /** Records appended since the process began. */
  appended = 0;

  constructor(
    at: { file: DiskFile; offset: number; salt: number; sequence: number; lazy: boolean },
    on: { flushed: (records: number) => void; failed: (error: unknown) => void },
  ) {
    this.#file = at.file;
    this.#offset = at.offset;
    this.#salt = at.salt;
    this.#sequence = at.sequence;
    this.#lazy = at.lazy;
    this.#flushed = on.flushed;
    this.#failed = on.failed;
  }

  /** Bytes of the current file. */
  get size(): number {
    return this.#offset;
  }

  get pendingBytes(): number {
    const full = this.#full.reduce((sum, { frame }) => sum + frame.length, 0);
    return this.#writer.bytes + full + (this.#writing?.frame.length ?? 0);
  }

  get idle(): boolean {
    return this.#writing === null && this.#full.length === 0 && this.#writer.bytes === 0;
  }

  append(record: JournalRecord): void {
    this.#writer.write(record);
    this.appended++;
    if (this.#writer.bytes >= frameBytesMax) this.#close();
    if (this.#scheduled || this.#writing !== null) return;
    this.#scheduled = true;
    // Commits of one turn go together: the write waits for the microtask queue.
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#next();
    });
  }

  /** Goes on after a failed write: what was half-written is cut off first. */
  async retry(): Promise<void> {
    if (this.#writing === null || !this.#stopped) return;
    await this.#file.truncate(this.#offset);
    this.#stopped = false;
    const { frame, upTo } = this.#writing;
    await this.#write(frame, upTo);
  }

  /** Later records go to another file. Only while idle. */
  turn(to: { file: DiskFile; offset: number; salt: number; sequence: number }): DiskFile {
    const from = this.#file;
    this.#file = to.file;
    this.#offset = to.offset;
    this.#salt = to.salt;
    this.#sequence = to.sequence;
    return from;
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  #close(): void {
    if (this.#writer.bytes > 0) this.#full.push({ frame: this.#writer.take(), upTo: this.appended });
  }

  #next(): void {
    if (this.#writing !== null) return;
    if (this.#full.length === 0) this.#close();
    const next = this.#full.shift();
    if (next === undefined) return;
    sealFrame(next.frame, this.#salt, this.#sequence);
    this.#writing = next;
    void this.#write(next.frame, next.upTo);
  }

  async #write(frame: Buffer, upTo: number): Promise<void> {
    try {
      await this.#file.write(frame, this.#offset);
      if (this.#lazy) await this.#file.sync();
    } catch (error) {
      this.#stopped = true;
      this.#failed(error);
      return;
    }
    this.#offset += frame.length;
    this.#sequence++;
    this.#writing = null;
    this.#flushed(upTo);
    this.#next();
  }
}
