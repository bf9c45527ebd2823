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

/** What was true of a key: as its slot has it now, or as history has it. */
export type State = Slot | Version;

/**
 * One key of the index with its newest state in place: who reads the present looks no further. Its past hangs on `last`, as far as
 * history holds it; a key that was not written for long has none, and costs its slot alone.
 */
export class Slot {
  readonly key: ByteString;
  /** Empty after a delete. */
  value: ByteString = '';
  createRevision: Revision = 0;
  /** Of the last change; 0 for a key that never was. */
  modRevision: Revision = 0;
  /** Writes since creation, 0 after a delete. */
  version = 0;
  lease: LeaseId = 0;
  /** Bytes of key and value, 0 after a delete: known here, so that a write need not look into a value that is cold. */
  liveBytes = 0;
  /** The change that made it so, as long as history holds it. */
  last: Version | null = null;
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
  at(revision: Revision): State | null {
    if (this.modRevision <= revision) return this.version === 0 ? null : this;
    let version = this.last;
    while (version !== null && version.modRevision > revision) version = version.previous;
    return version === null || version.version === 0 ? null : version;
  }

  put(value: ByteString, revision: Revision, lease: LeaseId): void {
    if (this.version === 0) this.createRevision = revision;
    this.version++;
    this.modRevision = revision;
    this.value = value;
    this.lease = lease;
    this.liveBytes = this.key.length + value.length;
  }

  delete(revision: Revision): void {
    this.value = '';
    this.createRevision = 0;
    this.modRevision = revision;
    this.version = 0;
    this.lease = 0;
    this.liveBytes = 0;
  }

  /** Takes a live entry as it is. */
  restore(entry: Entry): void {
    this.value = entry.value;
    this.createRevision = entry.createRevision;
    this.modRevision = entry.modRevision;
    this.version = entry.version;
    this.lease = entry.lease;
    this.liveBytes = this.key.length + entry.value.length;
  }

  entry(value: ByteString = this.value): Entry {
    return {
      key: this.key,
      value,
      createRevision: this.createRevision,
      modRevision: this.modRevision,
      version: this.version,
      lease: this.lease,
    };
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

  get key(): ByteString {
    return this.slot.key;
  }

  /** Becomes what `slot` holds now. */
  copy(slot: Slot, kind: ChangeKind): void {
    this.slot = slot;
    this.kind = kind;
    this.value = slot.value;
    this.createRevision = slot.createRevision;
    this.modRevision = slot.modRevision;
    this.version = slot.version;
    this.lease = slot.lease;
    this.bytes = overheadBytes + slot.key.length + slot.value.length;
  }

  /** Becomes a change that happened elsewhere, on a slot that nothing else knows. */
  repeat(change: Change, slot: Slot): void {
    const { kind, entry } = change;
    slot.restore(entry);
    this.copy(slot, kind);
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

  /** As `change`, and not kept: for what a single watch is told. */
  toldOnce(withPrevious: boolean): Change {
    const { kind } = this;
    const entry = this.entry();
    return withPrevious ? { kind, entry, previous: this.#replaced() } : { kind, entry };
  }

  /** The live entry it replaced. */
  #replaced(): Entry | null {
    const { previous } = this;
    return previous === null || previous.version === 0 ? null : previous.entry();
  }
}
