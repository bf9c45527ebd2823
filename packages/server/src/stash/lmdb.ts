import { WaymarkError } from 'waymark/engine';
import type { DiskKeys } from './disk-key.js';
import { recordBytesMax } from './record.js';

/** What of LMDB is used, by the names of its package. */
export interface Table {
  /** See `readRecord`. A long one lies in LMDB's map, and is no Buffer. */
  getBinaryFast(key: TableKey): Uint8Array<ArrayBuffer> | undefined;
  getBinary(key: TableKey): Buffer | undefined;
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

export interface Tables {
  readonly entries: Table;
  /** What is to be looked at later: see due.ts. */
  readonly due: Table;
  readonly meta: Table;
  /** What other nodes missed: see hints.ts. */
  readonly hints: Table;
  /** Resolves when everything that is committed is on the disk. */
  flushed(): Promise<unknown>;
  close(): Promise<void>;
}

/**
 * The record of the key that was composed or taken last, valid until the next one is read. Where LMDB's own pages are damaged on the way to it, it is an empty one, which matches
 * no CRC; so is one that claims to be longer than any is: it would be read from beyond the file.
 */
export function readRecord(entries: Table, keys: DiskKeys): Buffer | undefined {
  try {
    const found = entries.getBinaryFast(keys.composed());
    if (found === undefined || Buffer.isBuffer(found)) return found;
    const { buffer, byteOffset, length } = found;
    return length > recordBytesMax ? noRecord : Buffer.from(buffer, byteOffset, length);
  } catch {
    return noRecord;
  }
}

const noRecord = Buffer.alloc(0);

/**
 * Opens the tables of a directory.
 *
 * - A commit is seen before it is flushed (`overlappingSync`, the package's default): who acknowledges waits for `flushed`.
 * - `safeRestore`: after a crash the last *flushed* commit is taken, never one of which only the page cache of this boot knows.
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
