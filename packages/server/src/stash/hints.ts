import { partitionStart } from './disk-key.js';
import type { GroupCommit } from './group-commit.js';
import type { Table, TableStats } from './lmdb.js';

/**
 * What other nodes missed (rule D5.5): a mark for each key, since this node holds what is to be told itself. A mark brings back nothing old: what is told is what this node holds by then.
 *
 *   node    its id
 *   zero    1 byte
 *   key     as on disk
 */
export class Hints {
  readonly #table: Table;
  readonly #commits: GroupCommit;
  /** By node the keys of its pages, and whether one was marked again since: what is told of it may be older than that. */
  readonly #told = new Map<string, Map<string, boolean>>();
  /** Marks that are not in the table yet. */
  #underWay = 0;

  constructor(table: Table, commits: GroupCommit) {
    this.#table = table;
    this.#commits = commits;
  }

  /** How many there are, of all nodes. */
  get count(): number {
    return (this.#table.getStats() as TableStats).entryCount;
  }

  /** Resolves when they are on disk. Beyond `hintsMax` none are taken: comparing finds what was missed. @returns whether they were */
  async add(node: string, keys: readonly Buffer[]): Promise<boolean> {
    if (this.count + this.#underWay + keys.length > hintsMax) return false;
    const head = headOf(node);
    const told = this.#told.get(node);
    for (const key of keys) if (told?.has(nameOf(key))) told.set(nameOf(key), true);
    const group = this.#commits.gather();
    group.alongside.push(() => {
      for (const key of keys) this.#table.put(Buffer.concat([head, key]), oneByte);
    });
    this.#underWay += keys.length;
    try {
      await group.done;
    } finally {
      this.#underWay -= keys.length;
    }
    return true;
  }

  /** Keys on disk that a node missed, in pages of one partition each, some of the first. Who tells them asks for no others until he is done. */
  pages(node: string): (readonly Buffer[])[] {
    const pages: (readonly Buffer[])[] = [];
    for (let from = 0; pages.length < pagesMax;) {
      const page = this.#page(node, from);
      if (page[0] === undefined) break;
      pages.push(page);
      from = page[0].readUInt16BE(0) + 1;
    }
    this.#told.set(node, new Map(pages.flat().map((key) => [nameOf(key), false])));
    return pages;
  }

  /** Of the first partition from this one on that has any. */
  #page(node: string, from: number): readonly Buffer[] {
    const head = headOf(node);
    const keys: Buffer[] = [];
    const start = Buffer.concat([head, partitionStart(from)]);
    const end = Buffer.concat([head, endOfKeys]);
    for (const { key } of this.#table.getRange({ start, end, limit: pageKeys })) {
      const missed = key.subarray(head.length);
      if (keys[0] !== undefined && missed.readUInt16BE(0) !== keys[0].readUInt16BE(0)) break;
      keys.push(missed);
    }
    return keys;
  }

  /** Of keys that were told; those that were marked again meanwhile stay. */
  async remove(node: string, keys: readonly Buffer[]): Promise<void> {
    const head = headOf(node);
    const told = this.#told.get(node);
    const gone = keys.filter((key) => told?.get(nameOf(key)) !== true);
    const group = this.#commits.gather();
    group.alongside.push(() => {
      for (const key of gone) this.#table.remove(Buffer.concat([head, key]));
    });
    await group.done;
  }

  /** All that a node missed, some at a time: it is a node no more. */
  async forget(node: string): Promise<void> {
    for (let pages = this.pages(node); pages.length > 0; pages = this.pages(node)) {
      await this.remove(node, pages.flat());
    }
  }

  /** Nodes that missed something. */
  nodes(): string[] {
    const nodes: string[] = [];
    for (let start = Buffer.alloc(1); ;) {
      const [first] = this.#table.getRange({ start, end: endOfKeys, limit: 1 });
      if (first === undefined) return nodes;
      const { key } = first;
      const node = key.toString('latin1', 0, key.indexOf(0));
      nodes.push(node);
      start = Buffer.concat([Buffer.from(node, 'latin1'), Buffer.from([1])]);
    }
  }
}

/** Of all nodes together: some 120 MB of the longest keys, 5 MB of common ones. */
export const hintsMax = 100_000;
const pageKeys = 500;
const pagesMax = 64;
const oneByte = Buffer.from([1]);
const endOfKeys = Buffer.from([0xff, 0xff]);

function nameOf(key: Buffer): string {
  return key.toString('latin1');
}

function headOf(node: string): Buffer {
  return Buffer.from(`${node}\0`, 'latin1');
}
