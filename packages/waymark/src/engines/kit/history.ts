import type { Change, ChangeKind, Revision } from '../../core/engine.js';
import { type Slot, Version } from './slot.js';

/** Dropped versions kept for the next ones to come; a large compaction leaves the rest to the collector. */
const spareMax = 1_024;
/** Changes that are kept as objects for the next who watches the same: more than one batch holds. */
const toldMax = 4_096;

/**
 * Every change since the compaction point, in order. Positions count all changes ever recorded, so they stay valid while
 * the front is dropped.
 */
export class History {
  #versions: Version[] = [];
  /** Versions at the front of the array that are dropped already; cut off now and then. */
  #dropped = 0;
  /** The position of the array's first element. */
  #base = 0;
  readonly #spare: Version[] = [];
  /** Versions that were told last, in a ring. */
  readonly #told: Version[] = [];
  #toldAt = 0;
  bytes = 0;

  get start(): number {
    return this.#base + this.#dropped;
  }

  get end(): number {
    return this.#base + this.#versions.length;
  }

  at(position: number): Version {
    return this.#versions[position - this.#base] as Version;
  }

  /**
   * The same object for all who watch it about the same time. Those told longer ago are made anew: kept as long as history they would cost the collector most.
   *
   * @param alone  nobody else is expected to ask: then it is not kept
   */
  changeAt(position: number, withPrevious: boolean, alone = false): Change {
    const version = this.at(position);
    if (!version.isTold) {
      if (alone) return version.toldOnce(withPrevious);
      this.#told[this.#toldAt]?.untell();
      this.#told[this.#toldAt] = version;
      this.#toldAt = (this.#toldAt + 1) % toldMax;
    }
    return version.change(withPrevious);
  }

  /** A version to be filled and pushed. */
  take(): Version {
    return this.#spare.pop() ?? new Version();
  }

  /** Keeps what `slot` holds now, which is a change after `previous`. */
  record(slot: Slot, kind: ChangeKind, previous: Version | null): void {
    const version = this.take();
    version.copy(slot, kind);
    version.previous = previous;
    slot.last = version;
    this.push(version);
  }

  /** What `slot` holds, for the change that is to come; null for a key that never was. */
  before(slot: Slot): Version | null {
    if (slot.last !== null || slot.modRevision === 0) return slot.last;
    const version = this.take();
    version.copy(slot, 'put');
    return version;
  }

  push(version: Version): void {
    this.#versions.push(version);
    this.bytes += version.bytes;
  }

  oldest(): Version | undefined {
    return this.#versions[this.#dropped];
  }

  /**
   * Drops the oldest version, and what only a look below it could see. It stays the last one known of its key, unless that is what
   * the slot itself holds.
   */
  dropOldest(): void {
    const version = this.#versions[this.#dropped];
    if (version === undefined) return;
    this.#dropped++;
    this.bytes -= version.bytes;
    const { previous } = version;
    version.previous = null;
    if (previous !== null) this.#reuse(previous);
    if (version.slot.last === version) {
      version.slot.last = null;
      this.#reuse(version);
    }
    if (this.#dropped >= 8_192 && this.#dropped * 4 >= this.#versions.length) this.#cut();
  }

  /** The lowest revision, `after` at least, after which there are no more than `bytesMax` of changes. */
  within(after: Revision, bytesMax: number): Revision {
    let surplus = this.bytes - bytesMax;
    let bound = after;
    for (let position = this.start; surplus > 0 && position < this.end; position++) {
      const { bytes, modRevision } = this.at(position);
      surplus -= bytes;
      bound = Math.max(bound, modRevision);
    }
    return bound;
  }

  /** The position of the first change after `revision`. */
  positionAfter(revision: Revision): number {
    let low = this.#dropped;
    let high = this.#versions.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#versions[middle] as Version).modRevision <= revision) low = middle + 1;
      else high = middle;
    }
    return this.#base + low;
  }

  #reuse(version: Version): void {
    if (this.#spare.length >= spareMax) return;
    version.clear();
    this.#spare.push(version);
  }

  #cut(): void {
    this.#versions = this.#versions.slice(this.#dropped);
    this.#base += this.#dropped;
    this.#dropped = 0;
  }
}
