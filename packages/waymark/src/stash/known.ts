import type { Entry } from '../core/engine.js';
import type { MoveProgress } from './moves.js';
import {
  alivePrefix,
  type AnnouncedNode,
  checkAddress,
  checkNode,
  decode,
  movePrefix,
  nodePrefix,
  type SeenView,
  seenOf,
  viewKey,
} from './view.js';

/** What is known of the stash. */
export class Known {
  /** Grows with every change. */
  changes = 0;
  readonly #announced = new Map<string, AnnouncedNode>();
  readonly #alive = new Map<string, string>();
  readonly #moves = new Map<string, MoveProgress>();
  #seen: SeenView | null = null;

  /** Null: no node was there yet. */
  get view(): SeenView | null {
    return this.#seen;
  }

  get epoch(): number {
    return this.#seen?.view.epoch ?? 0;
  }

  /** Those that keep data and those that do not, by id. */
  get nodes(): ReadonlyMap<string, AnnouncedNode> {
    return this.#announced;
  }

  /** What nodes told of their part in a move: this one, if `since` is its. */
  get moves(): ReadonlyMap<string, MoveProgress> {
    return this.#moves;
  }

  isAlive(id: string): boolean {
    return this.#alive.has(id);
  }

  /** Where a node is reached: where it was last, if it does not say that it is alive. */
  addressOf(id: string): string | undefined {
    return this.#alive.get(id) ?? this.#announced.get(id)?.address;
  }

  /** @param gone  the key was deleted, or vanished */
  take(entry: Entry, gone = false): void {
    const { key } = entry;
    this.changes++;
    if (key === viewKey) this.#seen = gone ? null : seenOf(entry);
    else if (key.startsWith(nodePrefix)) this.#announce(key.slice(nodePrefix.length), entry, gone);
    else if (key.startsWith(movePrefix)) this.#move(key.slice(movePrefix.length), entry, gone);
    else if (key.startsWith(alivePrefix)) this.#live(key.slice(alivePrefix.length), entry, gone);
  }

  #announce(id: string, entry: Entry, gone: boolean): void {
    if (gone) return void this.#announced.delete(id);
    const node = { ...decode(entry), id } as AnnouncedNode;
    checkNode(node);
    this.#announced.set(id, node);
  }

  #move(id: string, entry: Entry, gone: boolean): void {
    if (gone) this.#moves.delete(id);
    else this.#moves.set(id, decode(entry) as MoveProgress);
  }

  #live(id: string, entry: Entry, gone: boolean): void {
    if (gone) return void this.#alive.delete(id);
    const { address } = decode(entry) as Partial<AnnouncedNode>;
    checkAddress(address);
    this.#alive.set(id, address);
  }
}
