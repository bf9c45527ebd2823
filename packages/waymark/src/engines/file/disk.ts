import { constants } from 'node:fs';
import * as fs from 'node:fs';
import * as fsp from 'node:fs/promises';
import { dirname, join } from 'node:path';

/**
 * What the file engine asks of a disk. The real one is below; testing/simulated-disk.ts has one that loses power, fills up and
 * fails on demand. Names are those of files in one directory.
 */
export interface Disk {
  /** Makes the directory, durably, if it is not there. */
  make(): Promise<void>;
  /** The names in the directory. */
  list(): Promise<string[]>;
  open(name: string, mode: OpenMode): Promise<DiskFile>;
  /** Atomic; durable after `syncDirectory`. */
  rename(from: string, to: string): Promise<void>;
  remove(name: string): Promise<void>;
  /** Makes creations, renames and removals durable. */
  syncDirectory(): Promise<void>;
}

/** `durable` writes are on the disk when they resolve; `lazy` ones after `sync`. */
export type OpenMode = 'read' | 'durable' | 'lazy';

export interface DiskFile {
  readonly size: number;
  read(at: number, length: number): Promise<Buffer>;
  write(data: Uint8Array, at: number): Promise<void>;
  truncate(size: number): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

export function realDisk(directory: string): Disk {
  return {
    async make() {
      const made = await fsp.mkdir(directory, { recursive: true, mode: 0o700 });
      if (made !== undefined) await syncDirectory(dirname(made));
    },
    list: () => fsp.readdir(directory),
    async open(name, mode) {
      const handle = await fsp.open(join(directory, name), flagsOf(mode), 0o600);
      return new RealFile(handle, (await handle.stat()).size);
    },
    rename: (from, to) => fsp.rename(join(directory, from), join(directory, to)),
    remove: (name) => fsp.rm(join(directory, name), { force: true }),
    syncDirectory: () => syncDirectory(directory),
  };
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await fsp.open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** O_DSYNC makes a write and its flush one call, which saves a hop to the thread pool per group of commits. */
function flagsOf(mode: OpenMode): number {
  if (mode === 'read') return constants.O_RDONLY;
  const writing = constants.O_RDWR | constants.O_CREAT;
  return mode === 'durable' ? writing | constants.O_DSYNC : writing;
}

class RealFile implements DiskFile {
  readonly #handle: fsp.FileHandle;
  size: number;

  constructor(handle: fsp.FileHandle, size: number) {
    this.#handle = handle;
    this.size = size;
  }

  async read(at: number, length: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafe(Math.max(0, Math.min(length, this.size - at)));
    let filled = 0;
    while (filled < buffer.length) {
      const { bytesRead } = await this.#handle.read(
        buffer,
        filled,
        buffer.length - filled,
        at + filled,
      );
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return buffer.subarray(0, filled);
  }

  /** The callback form costs the least per call; a short write goes on where it stopped. */
  write(data: Uint8Array, at: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const step = (from: number): void => {
        fs.write(this.#handle.fd, data, from, data.length - from, at + from, (error, written) => {
          if (error !== null) return reject(error);
          if (from + written < data.length) return step(from + written);
          this.size = Math.max(this.size, at + data.length);
          resolve();
        });
      };
      step(0);
    });
  }

  async truncate(size: number): Promise<void> {
    await this.#handle.truncate(size);
    this.size = size;
  }

  sync(): Promise<void> {
    return this.#handle.datasync();
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}
