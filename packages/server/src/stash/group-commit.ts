import { type Clock, WaymarkError } from 'waymark/engine';
import type { Digests } from './digests.js';
import type { DiskKeys } from './disk-key.js';
import { Group } from './group.js';
import type { Tables, ValuePart } from './lmdb.js';
import type { RecordReader } from './record.js';
import type { Room } from './room.js';

/** A group takes no more than about so many bytes. */
const groupBytesMax = 16_777_216;
/** LMDB is handed so many at one stretch, which takes the loop some 20 ms where records are short, and commits them. */
const sliceBytesMax = 4_194_304;
/** So much is not waited for more: it is committed at once. */
const smallBytesMax = 65_536;
/** While more comes with each turn, a group that is neither small nor full waits so long at most. */
const gatherMsMax = 20;
/** Where it was told that more of the same batch follows at once: so long until it comes, and so long in all. */
const followMsMax = 25;
const batchMsMax = 300;

/** What of a key is under way. */
export interface Pending {
  readonly group: Group;
  /** The record that was read, unchecked; or that it is to be removed. */
  readonly found: 'record' | 'nothing';
}

/** Told of each group: how long it took until it was on the disk, in ms, and how many entries it put or removed. */
export type Flushed = (ms: number, entries: number) => void;

/**
 * Commits in groups (rule D4.3): while one is being flushed what comes is gathered into the next. One at a time, so that there is a moment between two of them at which the disk holds exactly
 * what was acknowledged. Keys are spread over all partitions, so a commit of a thousand keys changes and flushes about as many pages as one of ten thousand: while writes come in turn after turn, and
 * while more of a batch is known to follow, they are gathered for a while longer. A large group is committed slice by slice, each with partitions of its own: all of it in one transaction
 * would hold up the loop, and as many transactions in the order of arrival would each write all pages, over and over, with their free pages scattered over the file.
 */
export class GroupCommit {
  readonly #tables: Tables;
  readonly #keys: DiskKeys;
  readonly #room: Room;
  readonly #clock: Clock;
  readonly #digests: Digests;
  readonly #flushed: Flushed;
  /** Those that wait, the one that is gathered last; all others are full. */
  #waiting: Group[] = [];
  #writing: Group | null = null;
  #between: (() => void)[] = [];
  #scheduled = false;
  /** Of the group that is next: since when it waits, and what it had a turn ago. */
  #since = 0;
  #hadBytes = 0;
  /** Of what was gathered last: whether more of its batch follows, and when it came. */
  #more = false;
  #grewAt = 0;
  /** Ends the wait for it. */
  #disarm: (() => void) | null = null;
  #closed = false;

  constructor(parts: {
    readonly tables: Tables;
    readonly keys: DiskKeys;
    readonly room: Room;
    readonly clock: Clock;
    readonly digests: Digests;
    readonly flushed: Flushed;
  }) {
    this.#tables = parts.tables;
    this.#keys = parts.keys;
    this.#room = parts.room;
    this.#clock = parts.clock;
    this.#digests = parts.digests;
    this.#flushed = parts.flushed;
  }

  /** Bytes that wait. */
  get pendingBytes(): number {
    return this.#waiting.reduce((sum, { bytes }) => sum + bytes, this.#writing?.bytes ?? 0);
  }

  /** The group that is gathered now. @throws {WaymarkError} `unavailable` once it is closed, or a flush has failed */
  gather(): Group {
    if (this.#closed) throw new WaymarkError('unavailable', 'the node stops');
    if (this.#room.broken) throw this.#room.error();
    const last = this.#waiting.at(-1);
    if (last !== undefined && last.bytes < groupBytesMax) return last;
    const group = new Group();
    this.#waiting.push(group);
    if (this.#writing === null) this.#schedule();
    return group;
  }

  /** Something was put into what is gathered now. @param more  of its batch more follows at once, which is waited for */
  grew(more: boolean): void {
    this.#more = more;
    this.#grewAt = this.#clock.now();
    const isFull = (this.#waiting.at(-1)?.bytes ?? 0) >= groupBytesMax;
    if (this.#disarm === null || (more && !isFull)) return;
    this.#disarm();
    this.#disarm = null;
    this.#clock.nextTurn(this.#look);
  }

  /** What is to be written of a key and is not on the disk yet: which group has it last. */
  pending(key: Buffer, keyBytes: number, hash: number, record: RecordReader): Pending | null {
    for (let i = this.#waiting.length - 1; i >= -1; i--) {
      const group = i < 0 ? this.#writing : (this.#waiting[i] as Group);
      const found = group?.find(key, keyBytes, hash, record) ?? null;
      if (found !== null) return { group: group as Group, found };
    }
    return null;
  }

  /** What is under way now, if anything is. */
  get last(): Promise<void> {
    return (this.#waiting.at(-1) ?? this.#writing)?.done ?? Promise.resolve();
  }

  /** Runs when all that was committed is done with, and nothing is being committed. */
  between(task: () => void): void {
    if (this.#writing === null) task();
    else this.#between.push(task);
  }

  /** Resolves when nothing waits any more. */
  async close(): Promise<void> {
    this.#closed = true;
    while (this.#waiting.length > 0 || this.#writing !== null) {
      await this.last.catch(() => undefined);
    }
  }

  #next(): void {
    for (const task of this.#between.splice(0)) task();
    if (this.#waiting.length === 0 || this.#scheduled) return;
    this.#begin();
    this.#look();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#begin();
    this.#clock.nextTurn(this.#look);
  }

  #begin(): void {
    this.#scheduled = true;
    this.#since = this.#clock.now();
    this.#hadBytes = 0;
  }

  readonly #look = (): void => {
    this.#disarm = null;
    const [group] = this.#waiting;
    if (this.#writing === null && group !== undefined && !this.#closed) {
      const waitMs = this.#followMs(group);
      if (waitMs > 0) return void (this.#disarm = this.#clock.after(waitMs, this.#look, true));
      if (this.#isGrowing(group)) {
        this.#hadBytes = group.bytes;
        return this.#clock.nextTurn(this.#look);
      }
    }
    this.#scheduled = false;
    if (this.#writing !== null || group === undefined) return;
    this.#waiting.shift();
    this.#writing = group;
    void this.#write(group);
  };

  /** How long more of a batch is waited for, as it stands. */
  #followMs({ bytes }: Group): number {
    if (!this.#more || bytes >= groupBytesMax) return 0;
    return Math.min(this.#grewAt + followMsMax, this.#since + batchMsMax) - this.#clock.now();
  }

  #isGrowing({ bytes }: Group): boolean {
    if (bytes <= smallBytesMax || bytes >= groupBytesMax || bytes === this.#hadBytes) return false;
    return this.#clock.now() - this.#since < gatherMsMax;
  }

  async #write(group: Group): Promise<void> {
    const began = this.#clock.now();
    let before = this.#tables.seen();
    let written = 0;
    try {
      for (const end of group.slices(sliceBytesMax)) {
        before = this.#tables.seen();
        await this.#bounded(this.#commit(group, written, end));
        written = end;
      }
      this.#writing = null;
      group.eachToggle((partition, high, low) => this.#digests.toggle(partition, high, low));
      for (const partition of group.doubtful) this.#digests.doubt(partition);
      this.#flushed(this.#clock.now() - began, group.puts);
      group.settle();
    } catch (cause) {
      // The package tells failures of both alike: what is seen all the same failed to be flushed.
      const seen = this.#tables.seen() !== before;
      const error = await this.#room.failed(await causeOf(cause), { bytes: group.bytes, seen });
      const refused = this.#room.error();
      // What came meanwhile was compared with what is not there now.
      const after = this.#waiting;
      this.#waiting = [];
      this.#writing = null;
      if (written > 0) group.eachToggle((partition) => this.#digests.doubt(partition));
      // Slices before this one are on the disk, and nobody knows of his writes in which they were.
      const partly = (): WaymarkError => new WaymarkError('uncertain', error.message, {}, error);
      group.settle(written > 0 && error.code !== 'uncertain' ? partly() : error);
      for (const one of after) one.settle(refused);
    }
    this.#next();
  }

  /** Changes of other tables go with the first slice: what tells when an entry is due must not be missing beside it. */
  async #commit(group: Group, from: number, to: number): Promise<void> {
    const { entries, flushed } = this.#tables;
    const keys = this.#keys;
    await entries.batch(() => {
      group.eachPut(from, to, (block, keyStart, keyEnd, end) => {
        const key = keys.point(block, keyStart, keyEnd);
        if (end === keyEnd) return void entries.remove(key);
        const part = block as ValuePart;
        part.start = keyEnd;
        part.end = end;
        entries.put(key, part);
      });
      if (from === 0) for (const change of group.alongside) change();
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
