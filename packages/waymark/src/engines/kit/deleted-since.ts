import type { KeyRange, Revision } from '../../core/engine.js';
import type { History } from './history.js';
import type { Slot } from './slot.js';
import { SortedKeys } from './sorted-keys.js';

/**
 * The keys that were deleted after a revision, in order: with the living, all that a range can have held at that revision. History
 * tells them, so nobody keeps deleted keys sorted for readers who may never come; a reader pays for the changes since.
 */
export class DeletedSince {
  readonly #history: History;
  readonly #slots = new Set<Slot>();
  readonly #sorted = new SortedKeys();
  #position: number;

  constructor(history: History, revision: Revision) {
    this.#history = history;
    this.#position = history.positionAfter(revision);
  }

  scan(range: KeyRange): () => Slot | undefined {
    this.#catchUp();
    return this.#sorted.scan(range);
  }

  #catchUp(): void {
    for (; this.#position < this.#history.end; this.#position++) {
      const { kind, slot } = this.#history.at(this.#position);
      if (kind === 'put' || this.#slots.has(slot)) continue;
      this.#slots.add(slot);
      this.#sorted.insert(slot);
    }
  }
}
