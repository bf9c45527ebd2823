import type { ByteString, Entry, LeaseId, Revision } from '../../core/engine.js';
import type { Cursor } from './cursor.js';

/**
 * One key of the index with its newest entry and, while history holds them, the older ones. Entries are plain and
 * shared with callers; everything that changes is here.
 */
export class Slot {
  readonly key: ByteString;
  /** The newest entry; a tombstone (version 0) after a delete. */
  head: Entry;
  /** Superseded entries that history still holds, oldest first. */
  older: Entry[] | undefined = undefined;
  /** The cursors whose ranges hold this key, right as long as `watchersEpoch` is the watch index's. */
  watchers: readonly Cursor[] | undefined = undefined;
  watchersEpoch = -1;

  constructor(key: ByteString, head: Entry) {
    this.key = key;
    this.head = head;
  }

  replace(entry: Entry): void {
    if (this.older === undefined) this.older = [this.head];
    else this.older.push(this.head);
    this.head = entry;
  }

  /** The live entry as of `revision`, null when there was none. */
  at(revision: Revision): Entry | null {
    if (this.head.modRevision <= revision) return this.head.version === 0 ? null : this.head;
    const older = this.older;
    if (older === undefined) return null;
    let low = 0;
    let high = older.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((older[middle] as Entry).modRevision <= revision) low = middle + 1;
      else high = middle;
    }
    const entry = older[low - 1];
    return entry === undefined || entry.version === 0 ? null : entry;
  }

  /** Forgets what nobody who reads at or after `point` can see. */
  forgetBelow(point: Revision): void {
    const older = this.older;
    if (older === undefined) return;
    let dead = 0;
    let high = older.length;
    while (dead < high) {
      const middle = (dead + high) >> 1;
      if ((older[middle + 1] ?? this.head).modRevision <= point) dead = middle + 1;
      else high = middle;
    }
    // Cut off by halves: a key that fills the whole history would else move all of it at each write.
    if (dead === older.length) this.older = undefined;
    else if (dead * 2 >= older.length) this.older = older.slice(dead);
  }
}

export function tombstone(key: ByteString, revision: Revision): Entry {
  return { key, value: '', createRevision: 0, modRevision: revision, version: 0, lease: 0 };
}

export function liveEntry(
  key: ByteString,
  value: ByteString,
  before: Entry | null,
  revision: Revision,
  lease: LeaseId,
): Entry {
  return {
    key,
    value,
    createRevision: before === null ? revision : before.createRevision,
    modRevision: revision,
    version: before === null ? 1 : before.version + 1,
    lease,
  };
}
