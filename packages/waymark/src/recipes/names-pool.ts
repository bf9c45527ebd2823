import type { RecipeGround } from '../core/recipe-call.js';
import { decodeList, type NameList, textOf } from '../space/name-lists.js';

/** What a host remembers of one path's names. All of it is a guess that the next commit checks. */
export class NamePool {
  /** The list as it was kept at `listRevision`; null: never seen. */
  list: string | null = null;
  listRevision = 0;
  taken = new Set<number>();
  #last: Promise<unknown> = Promise.resolve();
  /** The list that was last looked into: everybody tells the same one. */
  #text = '';
  #names: NameList = [];

  /** @throws {WaymarkError} `invalid`, `too_large` */
  namesIn(text: string): NameList {
    if (text !== this.#text) {
      this.#names = decodeList(text);
      this.#text = text;
    }
    return this.#names;
  }

  /** A claim went through with this list, which it may have put. */
  took(position: number, names: NameList, revision: number): void {
    this.taken.add(position);
    const text = textOf(names);
    if (this.list === text) return;
    this.list = text;
    this.listRevision = revision;
  }

  /** One claim at a time: each would otherwise guess the same name as the others, and all but one guess again. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }
}

const poolsKey = Symbol('names');
/** Beyond it the pool that was used least lately is forgotten: its next claim reads first. */
const poolsMax = 1_000;

export function poolOf(ground: RecipeGround, path: string): NamePool {
  const pools = ground.remember(poolsKey, () => new Map<string, NamePool>());
  const pool = pools.get(path) ?? new NamePool();
  pools.delete(path);
  pools.set(path, pool);
  const [oldest] = pools.keys();
  if (pools.size > poolsMax && oldest !== undefined) pools.delete(oldest);
  return pool;
}
