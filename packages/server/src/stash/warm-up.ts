import { constrainedMemory } from 'node:process';
import { totalmem } from 'node:os';
import type { Clock } from 'waymark/engine';
import { PackedCursor } from 'waymark/stash';
import type { DiskKeys } from './disk-key.js';
import type { KnownIndex } from './known-indexes.js';
import type { Table } from './lmdb.js';
import { measureKey } from './part-limits.js';

/** How often it is looked whether all fits into memory. */
const lookMs = 1_000;
/** What data may take of memory: the rest is for who else is there. */
const share = 0.5;
/** Of the four threads that Node has by default, LMDB's writer and its flush need two. */
const threadsMax = 2;

/**
 * Reads are synchronous, and one whose page is not in memory has the event loop wait for the disk, and all who are served by it. So where data takes more than half of the memory there is, keys are
 * looked for on another thread first; then their pages are there. Where it takes less that would cost as much as the read itself, and is left out (decision 19).
 */
export class WarmUp {
  readonly #entries: Table;
  readonly #keys: DiskKeys;
  readonly #clock: Clock;
  readonly #storedBytes: () => number;
  readonly #memoryBytes: number;
  #lookAt = -Infinity;
  #needed = false;
  #running = 0;
  #waiting: (() => void)[] = [];

  constructor(parts: {
    readonly entries: Table;
    readonly keys: DiskKeys;
    readonly clock: Clock;
    readonly storedBytes: () => number;
    readonly memoryBytes?: number | undefined;
  }) {
    this.#entries = parts.entries;
    this.#keys = parts.keys;
    this.#clock = parts.clock;
    this.#storedBytes = parts.storedBytes;
    this.#memoryBytes = parts.memoryBytes ?? memoryBytes();
  }

  /** Whether what is read may have to come from the disk. */
  get needed(): boolean {
    const now = this.#clock.now();
    if (now >= this.#lookAt) {
      this.#lookAt = now + lookMs;
      this.#needed = this.#storedBytes() > this.#memoryBytes * share;
    }
    return this.#needed;
  }

  /** Resolves when the pages of packed keys, or of the keys of packed entries, were looked at. @throws {WaymarkError} `invalid` */
  async of(index: KnownIndex, packed: Uint8Array, entries: boolean): Promise<void> {
    while (this.#running >= threadsMax) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#running++;
    try {
      // It asks for nothing but whether there are any.
      const list = {
        length: 1,
        [Symbol.iterator]: () => this.#composed(index, packed, entries),
      };
      await new Promise<void>((resolve) => this.#entries.prefetch(list, () => resolve()));
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }

  /** The same object each time, with one key after the other in it. */
  *#composed(
    { bytes, hash }: KnownIndex,
    packed: Uint8Array,
    entries: boolean,
  ): Generator<DiskKeys> {
    const cursor = new PackedCursor(packed);
    while (!cursor.done) {
      cursor.nextKey();
      const { block, keyStart, keyEnd } = cursor;
      measureKey(0, keyEnd - keyStart);
      const partition = hash.partitionAt(block, keyStart, keyEnd);
      yield this.#keys.compose(partition, bytes, block, keyStart, keyEnd);
      if (entries) cursor.nextVersion();
    }
  }

  /** Resolves when no thread looks at the data any more: it may be closed then. */
  async idle(): Promise<void> {
    while (this.#running > 0 || this.#waiting.length > 0) {
      await new Promise<void>((resolve) => this.#clock.nextTurn(resolve));
    }
  }
}

/** Of this machine, or of the group of processes that this one is held to. */
function memoryBytes(): number {
  const held = constrainedMemory();
  return held > 0 ? Math.min(held, totalmem()) : totalmem();
}
