import { type Clock, WaymarkError } from 'waymark/engine';
import type { DiskKeys } from './disk-key.js';
import type { Tables } from './lmdb.js';
import type { Room } from './room.js';

/** What a group is to write: a record to a key, or nothing to it. Key and record lie in one block. */
export interface Put {
  readonly block: Buffer;
  readonly keyStart: number;
  readonly keyEnd: number;
  /** The record follows the key; where it ends, there is none: remove. */
  readonly end: number;
}

/** Beside puts: changes of other tables, of a partition's digest. Done with the commit, or when it is on the disk. */
export interface Group {
  readonly puts: Put[];
  readonly alongside: (() => void)[];
  readonly whenDone: (() => void)[];
  /** However it ended, before anybody hears of it. */
  readonly whenOver: (() => void)[];
  bytes: number;
  /** Resolves when all is on the disk. @throws {WaymarkError} `storage_full`, `unavailable`, `uncertain` */
  readonly done: Promise<void>;
}

/** Told of each group: how long it took until it was on the disk, in ms, and how many entries it put or removed. */
export type Flushed = (ms: number, entries: number) => void;

interface OpenGroup extends Group {
  readonly settle: (error?: WaymarkError) => void;
}

/**
 * Commits in groups (rule D4.3): while one is being flushed all that comes is the next. One at a time, so that what is neither on disk nor refused is two
 * groups at most, and there is a moment between two of them at which the disk holds exactly what was acknowledged.
 */
export class GroupCommit {
  readonly #tables: Tables;
  readonly #keys: DiskKeys;
  readonly #room: Room;
  readonly #clock: Clock;
  readonly #flushed: Flushed;
  #gathering: OpenGroup | null = null;
  #writing: OpenGroup | null = null;
  #between: (() => void)[] = [];
  #closed = false;

  constructor(parts: {
    readonly tables: Tables;
    readonly keys: DiskKeys;
    readonly room: Room;
    readonly clock: Clock;
    readonly flushed: Flushed;
  }) {
    this.#tables = parts.tables;
    this.#keys = parts.keys;
    this.#room = parts.room;
    this.#clock = parts.clock;
    this.#flushed = parts.flushed;
  }

  /** Bytes that wait. */
  get pendingBytes(): number {
    return (this.#gathering?.bytes ?? 0) + (this.#writing?.bytes ?? 0);
  }

  /** The group that is gathered now. @throws {WaymarkError} `unavailable` once it is closed */
  gather(): Group {
    if (this.#closed) throw new WaymarkError('unavailable', 'the node stops');
    if (this.#gathering !== null) return this.#gathering;
    this.#gathering = openGroup();
    if (this.#writing === null) this.#clock.nextTurn(() => this.#next());
    return this.#gathering;
  }

  /** What is under way now, if anything is. */
  get last(): Promise<void> {
    return (this.#gathering ?? this.#writing)?.done ?? Promise.resolve();
  }

  /** Runs when all that was committed is done with, and nothing is being committed. */
  between(task: () => void): void {
    if (this.#writing === null) task();
    else this.#between.push(task);
  }

  /** Resolves when nothing waits any more. */
  async close(): Promise<void> {
    this.#closed = true;
    while (this.#gathering !== null || this.#writing !== null) {
      await this.last.catch(() => undefined);
    }
  }

  #next(): void {
    for (const task of this.#between.splice(0)) task();
    if (this.#writing !== null || this.#gathering === null) return;
    this.#writing = this.#gathering;
    this.#gathering = null;
    void this.#write(this.#writing);
  }

  async #write(group: OpenGroup): Promise<void> {
    const began = this.#clock.now();
    try {
      await this.#bounded(this.#commit(group));
      this.#writing = null;
      for (const task of group.whenDone) task();
      for (const task of group.whenOver) task();
      this.#flushed(this.#clock.now() - began, group.puts.length);
      group.settle();
    } catch (cause) {
      const error = await this.#room.failed(await causeOf(cause), group.bytes);
      // What came meanwhile was compared with what is not there now.
      const after = this.#gathering;
      this.#gathering = this.#writing = null;
      for (const over of [group, after]) for (const task of over?.whenOver ?? []) task();
      group.settle(error);
      after?.settle(error.code === 'uncertain' ? this.#room.error() : error);
    }
    this.#next();
  }

  async #commit({ puts, alongside }: Group): Promise<void> {
    const { entries, flushed } = this.#tables;
    const keys = this.#keys;
    await entries.batch(() => {
      for (const { block, keyStart, keyEnd, end } of puts) {
        const key = keys.point(block, keyStart, keyEnd);
        if (end === keyEnd) entries.remove(key);
        else entries.put(key, block.subarray(keyEnd, end));
      }
      for (const change of alongside) change();
    });
    await flushed();
  }

  /** LMDB's writer does not come back from some failures. */
  #bounded(work: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = new Error(`no answer from the disk for ${silenceMsMax / 1_000} s`);
      const disarm = this.#clock.after(silenceMsMax, () => reject(late), true);
      work.then(resolve, reject).finally(disarm);
    });
  }
}

const silenceMsMax = 60_000;

function openGroup(): OpenGroup {
  let settle: (error?: WaymarkError) => void = () => undefined;
  const done = new Promise<void>((resolve, reject) => {
    settle = (error) => (error === undefined ? resolve() : reject(error));
  });
  // Who gathered waits for it, unless what he gathered was nothing.
  done.catch(() => undefined);
  return { puts: [], alongside: [], whenDone: [], whenOver: [], bytes: 0, done, settle };
}

/** The package tells the cause by a promise of its own, which nobody else would catch. */
async function causeOf(failure: unknown): Promise<unknown> {
  const told = (failure as { readonly commitError?: Promise<never> }).commitError;
  if (told === undefined) return failure;
  try {
    return await told;
  } catch (cause) {
    return cause;
  }
}
