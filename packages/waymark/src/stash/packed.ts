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

/** Where stamp, writer and expiry lie, where it has one. */
export interface LaidFacts {
  readonly block: Buffer;
  readonly start: number;
  readonly expiring: boolean;
}

export class Packer {
  count = 0;
  readonly #writer = new Writer();

  /** Bytes so far. */
  get bytes(): number {
    return this.#writer.pending;
  }

  /** Makes room for so many bytes at once, where it is known about how many come: what grows step by step is copied with each. */
  reserve(bytes: number): void {
    this.#writer.ensure(bytes);
  }

  key(key: ByteString): void {
    this.count++;
    this.#writer.bytes(key);
  }

  entry(key: ByteString, version: StashVersion): void {
    this.key(key);
    this.#version(version);
  }

  /** An entry that is not stamped yet. @param value  bytes, a byte string, or null: delete */
  unstamped(key: ByteString, value: Uint8Array | ByteString | null, ttlMs: number): void {
    this.key(key);
    const w = this.#writer;
    w.ensure(13);
    const { buffer } = w;
    const expiry = ttlMs === 0 ? 0 : flags.expiry;
    buffer[w.position++] = flags.version | expiry | (value === null ? 0 : flags.value);
    for (const end = w.position + 12; w.position < end;) buffer[w.position++] = 0;
    if (expiry !== 0) w.double(ttlMs);
    if (typeof value === 'string') w.bytes(value);
    else if (value !== null) w.blob(value);
  }

  finding(found: StashFinding): void {
    this.count++;
    if (found === null) this.#writer.byte(flags.absent);
    else if (found === 'damaged') this.#writer.byte(flags.damaged);
    else this.#version(found);
  }

  /**
   * A version whose stamp, writer and expiry lie in their packed order already, as a finding.
   *
   * @param valueStart  where in the block its value begins; −1: it has none
   */
  laid(facts: LaidFacts, valueStart: number, valueEnd: number): void {
    this.count++;
    const { block, start, expiring } = facts;
    const w = this.#writer;
    const factsBytes = expiring ? 20 : 12;
    const valueBytes = valueStart < 0 ? 0 : valueEnd - valueStart;
    w.ensure(1 + factsBytes + 8 + valueBytes);
    const { buffer } = w;
    let at = w.position;
    const flagged = expiring ? flags.version | flags.expiry : flags.version;
    buffer[at++] = valueStart < 0 ? flagged : flagged | flags.value;
    for (let from = start; from < start + factsBytes; from++) buffer[at++] = block[from] as number;
    w.position = at;
    if (valueStart < 0) return;
    w.uint(valueBytes);
    w.raw(block, valueStart, valueEnd);
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
}

/** Writes over stamp and writer of the packed version that begins at `start`, and moves its expiry where it has one. */
export function stampVersion(
  block: Buffer,
  start: number,
  by: { readonly stamp: number; readonly writer: number; readonly laterMs: number },
): void {
  const at = block.writeDoubleBE(by.stamp, start + 1);
  const expiry = block.writeUInt32BE(by.writer, at);
  if (((block[start] as number) & flags.expiry) === 0) return;
  block.writeDoubleBE(block.readDoubleBE(expiry) + by.laterMs, expiry);
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
