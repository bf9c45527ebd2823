import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  type Clock,
  lockDirectory,
  type Random,
  systemClock,
  systemRandom,
  WaymarkError,
} from 'waymark/engine';
import { HybridClock } from 'waymark/stash';
import { crc32 } from './crc32.js';
import { Digests } from './digests.js';
import { DiskKeys } from './disk-key.js';
import { Floors } from './floors.js';
import { type Flushed, GroupCommit } from './group-commit.js';
import { openTables, type Tables } from './lmdb.js';
import { Room } from './room.js';
import { StashStore } from './store.js';
import { decodeHigh, highKey } from './writes.js';

export interface StoreOptions {
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
  /** Values are refused when keys and values take so much. Default: as much as the disk has. */
  readonly quotaBytes?: number | undefined;
  /** Memory that there is. Default: the machine's, or what this process is held to. */
  readonly memoryBytes?: number | undefined;
  /** Told of trouble with the disk. Default: silent. */
  readonly told?: ((message: string) => void) | undefined;
  readonly flushed?: Flushed | undefined;
}

const formatVersion = 1;
const idKey = Buffer.from('id');
const digestsKey = Buffer.from('digests');

/**
 * Opens a node's data, or makes a new directory.
 *
 * @throws {WaymarkError} `taken` when a process has it, naming it; `corrupt`; `invalid` for a newer format; `unavailable` when the package lmdb is missing;
 *                        `storage_full`
 */
export async function openStore(
  directory: string,
  options: StoreOptions = {},
): Promise<StashStore> {
  const made = await mkdir(directory, { recursive: true, mode: 0o700 });
  if (made !== undefined) await syncDirectory(dirname(made));
  const lock = await lockDirectory(directory, 'one process at a time has it');
  try {
    return await openLocked(directory, lock, options);
  } catch (error) {
    await lock[Symbol.asyncDispose]();
    throw error;
  }
}

async function openLocked(
  directory: string,
  lock: AsyncDisposable,
  options: StoreOptions,
): Promise<StashStore> {
  const { clock = systemClock, random = systemRandom, quotaBytes, memoryBytes } = options;
  const keys = new DiskKeys();
  const tables = await openTables(directory, keys);
  const room = new Room(directory, clock, options.told ?? (() => undefined));
  const flushed = options.flushed ?? (() => undefined);
  const digests = new Digests();
  const commits = new GroupCommit({ tables, keys, room, clock, digests, flushed });
  try {
    const id = await begin(directory, tables, { commits, digests, random });
    const stamps = new HybridClock(clock, decodeHigh(tables.meta.getBinary(highKey)));
    const floors = new Floors(tables.meta, stamps.high);
    const close = async (): Promise<void> => {
      await commits.close();
      if (room.writable) await save(tables, digests);
      await closeTables(tables, clock);
      await lock[Symbol.asyncDispose]();
    };
    return new StashStore({
      ...{ id, tables, keys, commits, room, digests, clock, stamps, floors, close },
      ...{ quotaBytes, memoryBytes },
    });
  } catch (error) {
    await closeTables(tables, clock);
    throw error;
  }
}

/** Makes it the data of a node, or sees that it is, and takes note that it is open: digests that were saved hold until then. @returns the node's id */
async function begin(
  directory: string,
  { meta }: Tables,
  parts: { readonly commits: GroupCommit; readonly digests: Digests; readonly random: Random },
): Promise<string> {
  const { commits, digests, random } = parts;
  const known = decodeId(directory, meta.getBinary(idKey));
  const id = known ?? random.id();
  const group = commits.gather();
  if (known === null) {
    digests.load(undefined);
    group.alongside.push(() => meta.put(idKey, encodeId(id)));
  } else {
    digests.load(meta.getBinary(digestsKey) ?? Buffer.alloc(0));
    group.alongside.push(() => meta.remove(digestsKey));
  }
  await group.done;
  if (known === null) await syncDirectory(directory);
  return id;
}

/** At a clean end: who opens it next need not work them out. */
async function save({ entries, meta, flushed }: Tables, digests: Digests): Promise<void> {
  const saved = digests.save();
  if (saved === null) return;
  await entries.batch(() => void meta.put(digestsKey, saved)).then(flushed, () => undefined);
}

const closeMsMax = 2_000;

/** After a failure LMDB may wait for a writer that never comes back. */
async function closeTables(tables: Tables, clock: Clock): Promise<void> {
  await new Promise<void>((resolve) => {
    const disarm = clock.after(closeMsMax, resolve, true);
    tables.close().then(resolve, resolve).finally(disarm);
  });
}

function encodeId(id: string): Buffer {
  const text = Buffer.from(JSON.stringify({ format: formatVersion, id }));
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(crc32(text, 0, text.length));
  return Buffer.concat([crc, text]);
}

function decodeId(directory: string, bytes: Buffer | undefined): string | null {
  if (bytes === undefined) return null;
  const facts = { file: directory };
  if (bytes.length < 4 || bytes.readUInt32BE(0) !== crc32(bytes, 4, bytes.length)) {
    const advice = 'move it away, and start the node with an empty directory';
    throw new WaymarkError('corrupt', `${directory}: the node's id is damaged: ${advice}`, facts);
  }
  const { format, id } = JSON.parse(bytes.toString('utf8', 4)) as { format: number; id: string };
  if (format === formatVersion) return id;
  const text = `${directory} has format ${format}, this version of Waymark knows ${formatVersion}: upgrade it`;
  throw new WaymarkError('invalid', text, facts);
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
