import type { Change, Entry, Query, Reading, Revision } from '../core/engine.js';
import { KeyIndex } from '../engines/kit/key-index.js';
import { Slot } from '../engines/kit/slot.js';

/** What an entry is counted with beside its key and value: its slot, and its places in the index. */
const overheadBytes = 200;

/** The entries of a range as of one revision, in memory. */
export class MirrorCopy {
  readonly #index = new KeyIndex();
  /** What it is true at. */
  revision: Revision;
  keys = 0;
  bytes = 0;

  constructor(revision: Revision) {
    this.revision = revision;
  }

  /** An entry of the snapshot. */
  add(entry: Entry): void {
    const slot = new Slot(entry.key);
    slot.restore(entry);
    this.#index.add(slot);
    this.keys++;
    this.bytes += bytesOf(slot);
  }

  /** @returns the change with the entry before it */
  take({ kind, entry }: Change): Change {
    const slot = this.#index.get(entry.key);
    const previous = slot?.entry() ?? null;
    if (slot !== undefined) {
      this.keys--;
      this.bytes -= bytesOf(slot);
    }
    if (kind !== 'put') this.#remove(slot, entry.modRevision);
    else if (slot === undefined) this.add(entry);
    else this.#replace(slot, entry);
    return { kind, entry, previous };
  }

  /** Of the range it holds, without `at`. */
  read(query: Query): Reading {
    return this.#index.read(query, Infinity, null, this.revision);
  }

  #replace(slot: Slot, entry: Entry): void {
    slot.restore(entry);
    this.keys++;
    this.bytes += bytesOf(slot);
  }

  #remove(slot: Slot | undefined, revision: Revision): void {
    if (slot === undefined) return;
    slot.delete(revision);
    this.#index.moved(slot, true);
    this.#index.remove(slot);
  }
}

function bytesOf({ liveBytes }: Slot): number {
  return overheadBytes + liveBytes;
}
