import type { ByteString, Entry, LeaseId, Revision } from '../../core/engine.js';
import type { Cursor } from './cursor.js';
import type { Recorded } from './history.js';

/**
 * One key of the index with its newest entry; the older ones hang on the changes that history holds. Entries are plain and
 * shared with callers; everything that changes is here.
 */
export class Slot {
  readonly key: ByteString;
  /** The newest entry; a tombstone (version 0) after a delete. */
  head: Entry;
  /** The change that made the head, while history holds it. */
  newest: Recorded | null = null;
  /** Bytes of the key and of the head's value, 0 for a tombstone: known here, so that an overwrite need not look at the old value. */
  bytes = 0;
  /** The cursors whose ranges hold this key, right as long as `watchersEpoch` is the watch index's. */
  watchers: readonly Cursor[] | undefined = undefined;
  watchersEpoch = -1;

  constructor(key: ByteString, head: Entry) {
    this.key = key;
    this.head = head;
  }

  /**
   * The live entry as of `revision`, null when there was none. A look into the past takes a step for each change of the key since: a
   * sorted list of versions per key would search faster, and costs every write an array and every dropped change a search.
   */
  at(revision: Revision): Entry | null {
    const entry = this.head.modRevision <= revision ? this.head : this.#before(revision);
    return entry === null || entry.version === 0 ? null : entry;
  }

  #before(revision: Revision): Entry | null {
    let change = this.newest;
    while (change !== null && change.before !== null && change.before.revision > revision) {
      change = change.before;
    }
    return change?.before?.entry ?? change?.previous ?? null;
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
