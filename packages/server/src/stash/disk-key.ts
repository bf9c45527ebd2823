import { limits, WaymarkError } from 'waymark/engine';

/**
 * Keys as they lie on disk: the partition in two bytes, the index's name, a zero byte, the key's bytes. So what moves from node to node, a partition, is one range, and an
 * index lies together within it.
 */
export class DiskKeys {
  /** Of the key that was composed last, from 0 on. */
  readonly bytes = Buffer.allocUnsafeSlow(diskKeyBytesMax);
  length = 0;
  /** What LMDB is to read next. */
  #block: Buffer = this.bytes;
  #start = 0;
  #end = 0;

  /** Of an index all keys begin so, behind their partition. */
  static indexBytes(index: string): Buffer {
    const bytes = Buffer.from(`${index}\0`, 'utf8');
    const bytesMax = limits.stashIndexBytesMax;
    if (bytes.length > bytesMax + 1) {
      const text = `an index name of ${bytes.length - 1} bytes: at most ${bytesMax}`;
      const facts = { limit: 'stashIndexBytesMax', max: bytesMax, actual: bytes.length - 1 };
      throw new WaymarkError('too_large', text, facts);
    }
    if (bytes.length === 1 || bytes.indexOf(0) < bytes.length - 1) {
      throw new WaymarkError('invalid', 'an index has a name, without a zero byte');
    }
    return bytes;
  }

  /** Composes one from its parts, for LMDB to read. */
  compose(partition: number, index: Buffer, block: Buffer, start: number, end: number): this {
    const { bytes } = this;
    bytes[0] = partition >>> 8;
    bytes[1] = partition & 0xff;
    let at = copy(index, 0, index.length, bytes, 2);
    at = copy(block, start, end, bytes, at);
    this.length = at;
    return this.composed();
  }

  /** The one that was composed or taken last, for LMDB to read. */
  composed(): this {
    return this.point(this.bytes, 0, this.length);
  }

  /** Takes one as it lies on disk for the one that was composed last. */
  take(key: Buffer): void {
    this.length = key.copy(this.bytes);
  }

  /** Copies the one that was composed or taken last. @returns where it ends there */
  copyTo(block: Buffer, at: number): number {
    return copy(this.bytes, 0, this.length, block, at);
  }

  /** Has LMDB read one that lies elsewhere. */
  point(block: Buffer, start: number, end: number): this {
    this.#block = block;
    this.#start = start;
    this.#end = end;
    return this;
  }

  /** For LMDB: what is asked for by this object is what it points at. */
  readonly writeKey = (key: unknown, target: Uint8Array, at: number): number => {
    if (key === this) return copy(this.#block, this.#start, this.#end, target, at);
    target.set(key as Uint8Array, at);
    return at + (key as Uint8Array).length;
  };

  /** A copy: LMDB reads the next key into the same place. */
  readonly readKey = (source: Uint8Array, start: number, end: number): Buffer =>
    Buffer.from(source.subarray(start, end));
}

const diskKeyBytesMax = 2 + limits.stashIndexBytesMax + 1 + limits.stashKeyBytesMax;

/** Longer ones are left to native code. */
const loopBytesMax = 48;

function copy(from: Buffer, start: number, end: number, to: Uint8Array, at: number): number {
  if (end - start > loopBytesMax) {
    from.copy(to, at, start, end);
    return at + end - start;
  }
  let target = at;
  for (let i = start; i < end; i++) to[target++] = from[i] as number;
  return target;
}

/** The first key of a partition; of the one behind the last, a bound for ranges. */
export function partitionStart(partition: number): Buffer {
  return Buffer.from([partition >>> 8, partition & 0xff]);
}

/** Behind all keys. */
export const endOfAll = Buffer.from([0xff, 0xff]);

/** The key behind all that begin so. */
export function afterPrefix(prefix: Buffer): Buffer {
  const last = prefix.findLastIndex((byte) => byte < 0xff);
  const bound = Buffer.from(prefix.subarray(0, last + 1));
  bound[last] = (bound[last] as number) + 1;
  return bound;
}
