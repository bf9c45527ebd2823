import type { Random } from '../core/clock.js';
import type { Disk, DiskFile, OpenMode } from '../engines/file/disk.js';

const sectorBytes = 512;

type Unsynced =
  | { readonly type: 'write'; readonly at: number; readonly data: Buffer }
  | { readonly type: 'truncate'; readonly size: number };

/** A file as the running system sees it, and what of it would survive. */
interface Inode {
  now: Buffer;
  size: number;
  durable: Buffer;
  unsynced: Unsynced[];
}

type NameChange = {
  readonly from: string | null;
  readonly to: string | null;
  readonly inode: Inode;
};

export type DiskCall = 'write' | 'sync' | 'truncate' | 'rename' | 'syncDirectory';

export interface SimulatedDiskOptions {
  /** Bytes that all files together may take. Default: no bound. */
  readonly capacityBytes?: number | undefined;
  /** Asked before every call (`sync` for the flush of a durable write too): an error code such as 'EIO' makes it fail. */
  readonly fault?: ((call: DiskCall, name: string) => string | null) | undefined;
  /** After so many calls the power goes: no call returns any more. Default: never. */
  readonly powerOffAfter?: number | undefined;
}

/**
 * A disk in memory that loses power, fills up and fails on demand. What was not flushed is lost, kept or torn at 512 bytes
 * when the power goes, as on real ones; names that were not flushed are lost from some point on.
 */
export class SimulatedDisk implements Disk {
  capacityBytes: number;
  fault: (call: DiskCall, name: string) => string | null;
  powerOffAfter: number;
  /** Calls so far. */
  calls = 0;
  readonly #names = new Map<string, Inode>();
  #durableNames = new Map<string, Inode>();
  #nameChanges: NameChange[] = [];

  constructor(options: SimulatedDiskOptions = {}) {
    this.capacityBytes = options.capacityBytes ?? Infinity;
    this.fault = options.fault ?? (() => null);
    this.powerOffAfter = options.powerOffAfter ?? Infinity;
  }

  get usedBytes(): number {
    let used = 0;
    for (const inode of this.#names.values()) used += inode.size;
    return used;
  }

  /** The disk that a machine finds after the power went now. Each call draws anew. */
  afterPowerLoss(random: Random): SimulatedDisk {
    const after = new SimulatedDisk();
    const names = new Map(this.#durableNames);
    const keptChanges = Math.floor(random.next() * (this.#nameChanges.length + 1));
    for (const change of this.#nameChanges.slice(0, keptChanges)) applyNameChange(names, change);
    for (const [name, inode] of names) {
      const content = survivor(inode, random);
      const copy: Inode = {
        now: Buffer.from(content),
        size: content.length,
        durable: content,
        unsynced: [],
      };
      after.#names.set(name, copy);
      after.#durableNames.set(name, copy);
    }
    return after;
  }

  /** The content of a file, to damage it. */
  content(name: string): Buffer {
    const inode = this.#inode(name);
    return Buffer.from(inode.now.subarray(0, inode.size));
  }

  async make(): Promise<void> {}

  async list(): Promise<string[]> {
    return [...this.#names.keys()];
  }

  async open(name: string, mode: OpenMode): Promise<DiskFile> {
    if (mode !== 'read' && !this.#names.has(name)) {
      const inode: Inode = {
        now: Buffer.alloc(0),
        size: 0,
        durable: Buffer.alloc(0),
        unsynced: [],
      };
      this.#change({ from: null, to: name, inode });
    }
    return this.#file(name, this.#inode(name), mode);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#call('rename', from);
    this.#change({ from, to, inode: this.#inode(from) });
  }

  async remove(name: string): Promise<void> {
    const inode = this.#names.get(name);
    if (inode !== undefined) this.#change({ from: name, to: null, inode });
  }

  async syncDirectory(): Promise<void> {
    await this.#call('syncDirectory', '.');
    this.#durableNames = new Map(this.#names);
    this.#nameChanges = [];
  }

  #inode(name: string): Inode {
    const inode = this.#names.get(name);
    if (inode === undefined) throw failure('ENOENT', name);
    return inode;
  }

  #change(change: NameChange): void {
    applyNameChange(this.#names, change);
    this.#nameChanges.push(change);
  }

  async #call(call: DiskCall, name: string): Promise<void> {
    await Promise.resolve();
    if (++this.calls > this.powerOffAfter) await new Promise(() => undefined);
    const code = this.fault(call, name);
    if (code !== null) throw failure(code, name);
  }

  #file(name: string, inode: Inode, mode: OpenMode): DiskFile {
    const sync = async (): Promise<void> => {
      await this.#call('sync', name);
      inode.durable = Buffer.from(inode.now.subarray(0, inode.size));
      inode.unsynced = [];
    };
    return {
      get size() {
        return inode.size;
      },
      read: async (at, length) =>
        Buffer.from(inode.now.subarray(at, Math.min(inode.size, at + length))),
      write: async (data, at) => {
        await this.#call('write', name);
        const room = this.capacityBytes - this.usedBytes + inode.size - at;
        const fits = data.length <= room ? data.length : Math.max(0, room);
        if (fits > 0) writeTo(inode, Buffer.from(data.subarray(0, fits)), at);
        if (fits < data.length) throw failure('ENOSPC', name);
        if (mode === 'durable') await sync();
      },
      truncate: async (size) => {
        await this.#call('truncate', name);
        inode.unsynced.push({ type: 'truncate', size });
        resize(inode, size);
      },
      sync,
      close: async () => undefined,
    };
  }
}

function applyNameChange(names: Map<string, Inode>, { from, to, inode }: NameChange): void {
  if (from !== null) names.delete(from);
  if (to !== null) names.set(to, inode);
}

function writeTo(inode: Inode, data: Buffer, at: number): void {
  inode.unsynced.push({ type: 'write', at, data });
  if (at + data.length > inode.size) resize(inode, at + data.length);
  data.copy(inode.now, at);
}

function resize(inode: Inode, size: number): void {
  if (size > inode.now.length) {
    const larger = Buffer.alloc(Math.max(size, 2 * inode.now.length));
    inode.now.copy(larger, 0, 0, inode.size);
    inode.now = larger;
  }
  if (size < inode.size) inode.now.fill(0, size, inode.size);
  inode.size = size;
}

/** What is found of a file: all that was flushed, and of the rest all, nothing, or some sectors. */
function survivor(inode: Inode, random: Random): Buffer {
  const file: Inode = {
    now: Buffer.from(inode.durable),
    size: inode.durable.length,
    durable: inode.durable,
    unsynced: [],
  };
  const fate = random.next();
  const keep = (): boolean => (fate < 0.2 ? false : fate < 0.4 ? true : random.next() < 0.5);
  for (const change of inode.unsynced) {
    if (change.type === 'truncate') {
      if (keep()) resize(file, change.size);
      continue;
    }
    for (let from = 0; from < change.data.length;) {
      const at = change.at + from;
      const bytes = Math.min(sectorBytes - (at % sectorBytes), change.data.length - from);
      if (keep()) writeTo(file, change.data.subarray(from, from + bytes), at);
      from += bytes;
    }
  }
  return file.now.subarray(0, file.size);
}

function failure(code: string, name: string): Error {
  return Object.assign(new Error(`${code}: simulated, ${name}`), { code });
}
