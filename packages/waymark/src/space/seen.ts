import type { Revision } from '../core/engine.js';

/** What a resync compares with is remembered for so many keys; beyond it, the deletions among them cannot be told. */
const keysMax = 1_000_000;

/** The newest revision that a watch has told of each living key. The first key has a place of its own: most watches see one. */
export class Seen {
  #key: string | undefined;
  #revision: Revision = 0;
  #others: Map<string, Revision> | null = null;

  get(key: string): Revision | undefined {
    return key === this.#key ? this.#revision : this.#others?.get(key);
  }

  set(key: string, revision: Revision): void {
    if (key === this.#key) this.#revision = revision;
    else if (this.#key === undefined && this.#others?.has(key) !== true) {
      this.#key = key;
      this.#revision = revision;
    } else {
      const others = (this.#others ??= new Map());
      if (others.size < keysMax - 1 || others.has(key)) others.set(key, revision);
    }
  }

  delete(key: string): void {
    if (key === this.#key) this.#key = undefined;
    else this.#others?.delete(key);
  }

  get size(): number {
    return (this.#key === undefined ? 0 : 1) + (this.#others?.size ?? 0);
  }

  copy(): Seen {
    const copy = new Seen();
    copy.#key = this.#key;
    copy.#revision = this.#revision;
    copy.#others = this.#others === null ? null : new Map(this.#others);
    return copy;
  }

  keys(): string[] {
    const first = this.#key === undefined ? [] : [this.#key];
    return this.#others === null ? first : [...first, ...this.#others.keys()];
  }
}
