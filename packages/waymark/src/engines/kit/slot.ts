import type {
  ByteString,
  Change,
  ChangeKind,
  Entry,
  LeaseId,
  Revision,
} from '../../core/engine.js';
import type { Cursor } from './cursor.js';

/** Bytes a version is counted with, beside its key and value, against the history's budget. */
const overheadBytes = 160;

/** One key of the index with its newest version; the older ones hang on it, as far as history holds them. */
export class Slot {
  readonly key: ByteString;
  /** The newest version; a tombstone after a delete. */
  head: Version = absent;
  /** The cursors whose ranges hold this key, right as long as `watchersEpoch` is the watch index's. */
  watchers: readonly Cursor[] | undefined = undefined;
  watchersEpoch = -1;

  constructor(key: ByteString) {
    this.key = key;
  }

  /**
   * What lived as of `revision`, null when nothing did. A look into the past takes a step for each change of the key since: a
   * sorted list of versions per key would search faster, and costs every write an array and every dropped change a search.
   */
  at(revision: Revision): Version | null {
    let version: Version | null = this.head;
    while (version !== null && version.modRevision > revision) version = version.previous;
    return version === null || version.version === 0 ? null : version;
  }
}

/** What the shapes that watches deliver are made of, made once and shared by all of them. */
interface Told {
  plain: Change | null;
  full: Change | null;
}

/**
 * What one change made of its key: the entry, or the tombstone of a delete. Each is a single object, and written anew once
 * history has dropped it: objects that live as long as a history are what garbage collection costs a writer most. So
 * nobody outside the keyspace is ever given one, but what `entry` and `change` make of it.
 */
export class Version {
  slot!: Slot;
  kind: ChangeKind = 'put';
  value: ByteString = '';
  createRevision: Revision = 0;
  modRevision: Revision = 0;
  /** Writes since creation, 0 for a tombstone. */
  version = 0;
  lease: LeaseId = 0;
  /** The version before, as long as history holds this one. */
  previous: Version | null = null;
  /** What it counts against history's budget: known here, so that dropping it need not look into cold memory. */
  bytes = 0;
  private told: Told | null = null;

  /** Becomes the head of `slot`: a change after the one that is. */
  succeed(
    slot: Slot,
    kind: ChangeKind,
    value: ByteString,
    revision: Revision,
    lease: LeaseId,
  ): void {
    const { head } = slot;
    const lives = kind === 'put';
    this.slot = slot;
    this.kind = kind;
    this.value = value;
    this.createRevision = !lives ? 0 : head.version === 0 ? revision : head.createRevision;
    this.modRevision = revision;
    this.version = lives ? head.version + 1 : 0;
    this.lease = lease;
    this.previous = head;
    this.bytes = overheadBytes + slot.key.length + value.length;
    slot.head = this;
  }

  /** Becomes the head of `slot` as a live entry whose past is not known. */
  restore(slot: Slot, entry: Entry): void {
    this.slot = slot;
    this.value = entry.value;
    this.createRevision = entry.createRevision;
    this.modRevision = entry.modRevision;
    this.version = entry.version;
    this.lease = entry.lease;
    this.bytes = overheadBytes + slot.key.length + entry.value.length;
    slot.head = this;
  }

  /** Becomes a change that happened elsewhere, on a slot that nothing else knows. */
  repeat(change: Change, slot: Slot): void {
    const { kind, entry } = change;
    this.restore(slot, entry);
    this.kind = kind;
    const plain = change.previous === undefined;
    this.told = { plain: plain ? change : { kind, entry }, full: plain ? null : change };
  }

  /** Whether what it tells is at hand. */
  get isTold(): boolean {
    return this.told !== null;
  }

  /** What it tells is made anew by the next who asks. */
  untell(): void {
    this.told = null;
  }

  /** Nothing large is kept alive by it until it is written anew. */
  clear(): void {
    this.value = '';
    this.told = null;
  }

  /** Bytes of key and value; a tombstone has none. */
  get liveBytes(): number {
    return this.version === 0 ? 0 : this.bytes - overheadBytes;
  }

  entry(value: ByteString = this.value): Entry {
    return {
      key: this.slot.key,
      value,
      createRevision: this.createRevision,
      modRevision: this.modRevision,
      version: this.version,
      lease: this.lease,
    };
  }

  change(withPrevious: boolean): Change {
    const told = (this.told ??= { plain: null, full: null });
    const plain = (told.plain ??= { kind: this.kind, entry: this.entry() });
    return withPrevious ? (told.full ??= { ...plain, previous: this.#replaced() }) : plain;
  }

  /** The live entry it replaced. */
  #replaced(): Entry | null {
    const { previous } = this;
    return previous === null || previous.version === 0 ? null : previous.entry();
  }
}

/** The version of a key that never was: older than any, and no entry. */
export const absent: Version = new Version();
