import { KeyHash } from 'waymark/stash';
import { DiskKeys } from './disk-key.js';

export interface KnownIndex {
  /** What all its keys on disk begin with, behind the partition. */
  readonly bytes: Buffer;
  readonly hash: KeyHash;
}

const knownMax = 1_000;

/** What is worked out once of an index's name. */
export class KnownIndexes {
  readonly #known = new Map<string, KnownIndex>();

  /** @throws {WaymarkError} `invalid`, `too_large` */
  of(name: string): KnownIndex {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const bytes = DiskKeys.indexBytes(name);
    const made = { bytes, hash: new KeyHash(bytes.toString('latin1', 0, bytes.length - 1)) };
    if (this.#known.size >= knownMax) this.#known.clear();
    this.#known.set(name, made);
    return made;
  }
}
