import type { Revision } from '../../core/engine.js';
import type { JournalRecord } from '../kit/journal.js';
import { RecordWriter } from './records.js';

/** One frame takes at most about this; what has gathered beyond it goes into the next. */
const frameBytesMax = 4 * 1_048_576;

export interface Answer {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** What goes to the disk in one write. */
export interface Group {
  readonly frame: Buffer;
  /** The newest revision by its end. */
  readonly revision: Revision;
  /** Records appended by its end. */
  readonly upTo: number;
  /** Made when someone waits. */
  answer: Answer | null;
}

/** Records that wait to be written, gathered into groups. */
export class GroupQueue {
  readonly #writer = new RecordWriter();
  #gathering: Answer | null = null;
  #revision: Revision;
  readonly #groups: Group[] = [];
  /** Records appended so far. */
  appended = 0;

  constructor(revision: Revision) {
    this.#revision = revision;
  }

  get bytes(): number {
    let bytes = this.#writer.bytes;
    for (const { frame } of this.#groups) bytes += frame.length;
    return bytes;
  }

  append(record: JournalRecord): void {
    this.#writer.write(record);
    this.appended++;
    if (record.type === 'commit') this.#revision = record.revision;
    if (this.#writer.bytes >= frameBytesMax) this.close();
  }

  /** Makes a group of what has gathered. */
  close(): void {
    if (this.#writer.bytes === 0) return;
    const { appended: upTo } = this;
    const frame = this.#writer.take();
    this.#groups.push({ frame, revision: this.#revision, upTo, answer: this.#gathering });
    this.#gathering = null;
  }

  /** The oldest group; what gathers still is none. */
  get first(): Group | undefined {
    return this.#groups[0];
  }

  shift(): void {
    this.#groups.shift();
  }

  /** Settled with the last record that waits; null when none does. */
  lastAnswer(): Promise<void> | null {
    if (this.#writer.bytes > 0) return (this.#gathering ??= answer()).promise;
    const last = this.#groups.at(-1);
    return last === undefined ? null : (last.answer ??= answer()).promise;
  }

  /** A frame that is written lends its memory to a later one. */
  giveBack(frame: Buffer): void {
    this.#writer.giveBack(frame);
  }

  rejectAll(error: unknown): void {
    for (const group of this.#groups) {
      group.answer?.reject(error);
      group.answer = null;
    }
    this.#gathering?.reject(error);
    this.#gathering = null;
  }

  clear(): void {
    this.#groups.length = 0;
    this.#writer.take();
  }
}

/** A rejection that nobody waits for is no accident: a lease that ended has no caller. */
export function answer(): Answer {
  let resolve!: () => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<void>((resolved, rejected) => {
    resolve = resolved;
    reject = rejected;
  });
  promise.catch(() => undefined);
  return { promise, resolve, reject };
}
