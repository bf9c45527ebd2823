import type { ByteString } from '../core/engine.js';
import type { StashVersion } from '../core/stash.js';
import { malformed, Reader } from '../wire/reader.js';
import { Writer } from '../wire/writer.js';

/**
 * Batches as they go to nodes and back: one block of bytes each, without an object per key.
 *
 *   keys       key key …
 *   entries    key version key version …
 *   findings   version | absent | damaged, one for each key that was asked for
 *
 *   key        length, bytes
 *   version    flags, stamp, writer, expiry where flagged, value where flagged: length, bytes
 *
 * Lengths are varints, stamp and expiry doubles, the writer four bytes: who stamps a batch writes over what stands there.
 */

const flags = { absent: 0, version: 1, value: 2, expiry: 4, damaged: 8 } as const;

/** What a node found of a key: null: nothing; `damaged`: a record that does not match its CRC. */
export type StashFinding = StashVersion | null | 'damaged';

export class Packer {
  count = 0;
  readonly #writer = new Writer();

  /** Bytes so far. */
  get bytes(): number {
    return this.#writer.pending;
  }

  key(key: ByteString): void {
    this.count++;
    this.#writer.bytes(key);
  }

  entry(key: ByteString, version: StashVersion): void {
    this.key(key);
    this.#version(version);
  }

  finding(found: StashFinding): void {
    this.count++;
    if (found === null) this.#writer.byte(flags.absent);
    else if (found === 'damaged') this.#writer.byte(flags.damaged);
    else this.#version(found);
  }

  /** A key, an entry or a finding that is packed already. */
  copy(block: Buffer, start: number, end: number): void {
    this.count++;
    this.#writer.raw(block, start, end);
  }

  take(): Uint8Array {
    this.count = 0;
    return this.#writer.take() ?? new Uint8Array(0);
  }

  #version({ stamp, writer, expiresAt, value }: StashVersion): void {
    const w = this.#writer;
    const expiry = expiresAt === 0 ? 0 : flags.expiry;
    w.byte(flags.version | expiry | (value === null ? 0 : flags.value));
    w.double(stamp);
    w.ensure(4);
    w.position = w.buffer.writeUInt32BE(writer, w.position);
    if (expiry !== 0) w.double(expiresAt);
    if (value !== null) w.blob(value);
  }
}

/** Reads a packed batch from its beginning to its end. Values are views into it. @throws {WaymarkError} `invalid` for what is none */
export class Unpacker {
  readonly #reader: Reader;

  constructor(packed: Uint8Array) {
    this.#reader = new Reader(packed);
  }

  get done(): boolean {
    return this.#reader.done;
  }

  key(): ByteString {
    return this.#reader.bytes();
  }

  finding(): StashFinding {
    const r = this.#reader;
    const flagged = r.byte();
    if (flagged === flags.absent) return null;
    if (flagged === flags.damaged) return 'damaged';
    const stamp = r.double();
    const writer = readWriter(r);
    const expiresAt = (flagged & flags.expiry) === 0 ? 0 : r.double();
    const value = (flagged & flags.value) === 0 ? null : r.blob();
    return { stamp, writer, expiresAt, value };
  }
}

/**
 * The same, without an object for what is found: `nextKey` and `nextVersion` move on, and tell where what they passed lies in `block`. For who passes much on as it is.
 */
export class PackedCursor {
  readonly block: Buffer;
  /** Of the key or version that was passed last, with its length and flags. */
  start = 0;
  end = 0;
  /** Of that key's bytes. */
  keyStart = 0;
  keyEnd = 0;
  found: 'version' | 'absent' | 'damaged' = 'absent';
  stamp = 0;
  writer = 0;
  expiresAt = 0;
  /** Of the value's bytes; −1: there is none. */
  valueStart = -1;
  valueEnd = -1;
  readonly #reader: Reader;

  constructor(packed: Uint8Array) {
    this.#reader = new Reader(packed);
    this.block = this.#reader.buffer;
  }

  get done(): boolean {
    return this.#reader.done;
  }

  nextKey(): void {
    const r = this.#reader;
    this.start = r.position;
    const length = r.uint();
    if (length > r.left) throw malformed('it ends within a key');
    this.keyStart = r.position;
    this.keyEnd = this.end = r.position += length;
  }

  nextVersion(): void {
    const r = this.#reader;
    this.start = r.position;
    const flagged = r.byte();
    this.valueStart = this.valueEnd = -1;
    this.stamp = this.writer = this.expiresAt = 0;
    if ((flagged & flags.version) === 0) {
      this.found = flagged === flags.absent ? 'absent' : 'damaged';
      this.end = r.position;
      return;
    }
    this.found = 'version';
    this.stamp = r.double();
    this.writer = readWriter(r);
    if ((flagged & flags.expiry) !== 0) this.expiresAt = r.double();
    if ((flagged & flags.value) !== 0) {
      const length = r.uint();
      if (length > r.left) throw malformed('it ends within a value');
      this.valueStart = r.position;
      this.valueEnd = r.position += length;
    }
    this.end = r.position;
  }

  /** Writes over stamp and writer of the version that was passed last, and its expiry where it has one. */
  stampAs(stamp: number, writer: number, expiresAt: number): void {
    const at = this.block.writeDoubleBE(stamp, this.start + 1);
    this.block.writeUInt32BE(writer, at);
    if (this.expiresAt !== 0) this.block.writeDoubleBE(expiresAt, at + 4);
  }
}

/** Whether of two versions the first is the newer one (rule D2.1). */
export function isNewer(
  a: Pick<StashVersion, 'stamp' | 'writer'>,
  b: Pick<StashVersion, 'stamp' | 'writer'>,
): boolean {
  return a.stamp > b.stamp || (a.stamp === b.stamp && a.writer > b.writer);
}

function readWriter(r: Reader): number {
  if (r.left < 4) throw malformed('it ends within a version');
  r.position += 4;
  return r.buffer.readUInt32BE(r.position - 4);
}
