import { WaymarkError } from 'waymark/engine';
import type { DiskKeys } from './disk-key.js';
import { recordBytesMax } from './record.js';

/** What of LMDB is used, by the names of its package. */
export interface Table {
  /** See `RecordSource`. A long one lies in LMDB's map, and is no Buffer. */
  getBinaryFast(key: TableKey): Uint8Array<ArrayBuffer> | undefined;
  getBinary(key: TableKey): Buffer | undefined;
  /** Looks keys up on another thread, for their pages to be in memory. */
  prefetch(keys: Iterable<TableKey> & { readonly length: number }, callback: () => void): unknown;
  /** Of a value with `start` and `end` that part: see `ValuePart`. */
  put(key: TableKey, value: Uint8Array): unknown;
  remove(key: TableKey): unknown;
  /** All puts and removes of the callback in one transaction. Resolves when it is seen, not when it is flushed. */
  batch(callback: () => void): Promise<unknown>;
  getRange(range: {
    readonly start: Uint8Array;
    readonly end: Uint8Array;
    readonly exclusiveStart?: boolean | undefined;
    readonly limit?: number | undefined;
    readonly transaction?: Snapshot | undefined;
  }): Iterable<{ readonly key: Buffer; readonly value: Buffer }>;
  /** What is there now, for ranges that are read bit by bit. */
  useReadTransaction(): Snapshot;
  getStats(): unknown;
}

/**
 * A part of a block as a value: the package takes where it lies from these two, as from what its own encoders give it. A view of the block instead would be an object for each value, all of which outlive the next
 * collection of garbage. They are read before `put` returns, so the next value may lie in the same block; the block has to stay until all is committed.
 */
export type ValuePart = Buffer & { start: number; end: number };

export interface Snapshot {
  /** Given back: what it holds on to is kept until then. */
  done(): void;
}

type TableKey = Uint8Array | DiskKeys;

export interface TableStats {
  readonly pageSize: number;
  readonly entryCount: number;
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
}

interface Environment {
  info(): { readonly lastTxnId: number };
}

export interface Tables {
  readonly entries: Table;
  /** What is to be looked at later: see due.ts. */
  readonly due: Table;
  readonly meta: Table;
  /** What other nodes missed: see hints.ts. */
  readonly hints: Table;
  /** The number of the last commit that is seen, be it flushed or not. */
  seen(): number;
  /** Resolves when everything that is committed is on the disk. */
  flushed(): Promise<unknown>;
  close(): Promise<void>;
}

/**
 * Reads the record of the key that was composed or taken last, and says where it lies until the next one is read. Where LMDB's own pages are damaged on the way to it, it is an empty one, which
 * matches no CRC; so is one that claims to be longer than any is: it would be read from beyond the file.
 */
export class RecordSource {
  block: Buffer = noRecord;
  length = 0;
  /** The package reads short records into one buffer, whose length it changes each time: this is the same memory, as a buffer like all others. */
  #of: ArrayBuffer | null = null;
  #whole: Buffer = noRecord;

  /** @returns whether there is one */
  read(entries: Table, keys: DiskKeys): boolean {
    try {
      const found = entries.getBinaryFast(keys.composed());
      if (found === undefined) return false;
      this.#point(found);
    } catch {
      this.block = noRecord;
      this.length = 0;
    }
    return true;
  }

  #point(found: Uint8Array<ArrayBuffer>): void {
    const { length, buffer, byteOffset } = found;
    this.length = length;
    if (length > recordBytesMax) {
      this.block = noRecord;
      this.length = 0;
    } else if (Buffer.isBuffer(found) && byteOffset === 0) {
      if (this.#of !== buffer) {
        this.#of = buffer;
        this.#whole = Buffer.from(buffer);
      }
      this.block = this.#whole;
    } else this.block = Buffer.from(buffer, byteOffset, length);
  }
}

const noRecord = Buffer.alloc(0);

/**
 * Opens the tables of a directory.
 *
 * - A commit is seen before it is flushed (`overlappingSync`, the package's default): who acknowledges waits for `flushed`.
 * - `safeRestore`: after a crash the last *flushed* commit is taken, never one of which only the page cache of this boot knows.
 * - `noReadAhead`: keys are spread over the file, so what lies beside a page is not what is read next, and where memory is short it drives out what is (decision 19).
 * - Never `noSync` and `useWritemap`, which trade the disk's order of writes for speed.
 * - Groups are made here (group-commit.ts), so the package makes none of its own (`eventTurnBatching`): of those it keeps promises that nobody could catch.
 *
 * @throws {WaymarkError} `unavailable` naming the package where it is missing, `corrupt`
 */
export async function openTables(directory: string, keys: DiskKeys): Promise<Tables> {
  const { open } = await loadLmdb();
  const binary = { keyEncoding: 'binary', encoding: 'binary' } as const;
  try {
    const root = open({
      path: directory,
      noSubdir: false,
      maxDbs: 4,
      eventTurnBatching: false,
      safeRestore: true,
      noReadAhead: true,
    } as Parameters<typeof open>[0]);
    const entries = root.openDB('entries', {
      encoding: 'binary',
      keyEncoder: keys,
    } as Parameters<typeof root.openDB>[1]);
    return {
      entries: entries as unknown as Table,
      due: root.openDB('due', binary) as unknown as Table,
      meta: root.openDB('meta', binary) as unknown as Table,
      hints: root.openDB('hints', binary) as unknown as Table,
      seen: () => (root as unknown as { readonly env: Environment }).env.info().lastTxnId,
      flushed: async () => await root.flushed,
      close: () => root.close(),
    };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const text = `the stash in ${directory} cannot be opened: ${message}`;
    throw new WaymarkError('corrupt', text, { file: directory }, error);
  }
}

async function loadLmdb(): Promise<typeof import('lmdb')> {
  try {
    return await import('lmdb');
  } catch (cause) {
    const { code, message } = cause as { readonly code?: unknown; readonly message: string };
    const text =
      code === 'ERR_MODULE_NOT_FOUND'
        ? 'the stash needs the package lmdb: npm install lmdb'
        : `the stash needs LMDB, which cannot be loaded: ${message}`;
    throw new WaymarkError('unavailable', text, {}, cause);
  }
}
