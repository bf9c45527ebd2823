import type { ByteString } from '../core/engine.js';
import type { HeldLock } from './held-lock.js';
import { ancestorsOf, pathToBytes } from './paths.js';

/** So many paths without a lock are kept in mind, or as many as have one. */
const freeMax = 1_024;

/**
 * The locks that this process holds in a namespace, by path in key form: its writes are checked against them.
 *
 * Most are of paths that are locked again and again. A path is kept when its lock goes: a Map in which keys come and go outgrows one table
 * after the other, and those cost the collector more than the paths do, see core/slab.ts.
 */
export class OwnLocks {
  readonly #byPath = new Map<ByteString, HeldLock[]>();
  /** Paths without a lock. */
  #free = 0;

  add(lock: HeldLock): void {
    const path = pathToBytes(lock.path);
    const locks = this.#byPath.get(path);
    if (locks === undefined) {
      this.#byPath.set(path, [lock]);
      return;
    }
    if (locks.length === 0) this.#free--;
    locks.push(lock);
  }

  remove(lock: HeldLock): void {
    const locks = this.#byPath.get(pathToBytes(lock.path)) ?? [];
    const place = locks.indexOf(lock);
    if (place < 0) return;
    locks.splice(place, 1);
    if (locks.length > 0) return;
    this.#free++;
    if (this.#free > Math.max(freeMax, this.#byPath.size / 2)) this.#forgetFree();
  }

  /** The exclusive ones that bear on a write there. */
  on(path: string, tree: boolean): HeldLock[] {
    if (this.#free === this.#byPath.size) return [];
    const bytes = pathToBytes(path);
    const found: HeldLock[] = [];
    const add = (locks: Iterable<HeldLock> | undefined, treesOnly: boolean): void => {
      for (const lock of locks ?? []) {
        if (lock.mode === 'exclusive' && (lock.tree || !treesOnly)) found.push(lock);
      }
    };
    for (const ancestor of ancestorsOf(bytes)) add(this.#byPath.get(ancestor), true);
    add(this.#byPath.get(bytes), false);
    if (tree)
      for (const [held, locks] of this.#byPath) if (held.startsWith(`${bytes}/`)) add(locks, false);
    return found;
  }

  #forgetFree(): void {
    for (const [path, locks] of this.#byPath) if (locks.length === 0) this.#byPath.delete(path);
    this.#free = 0;
  }
}
