import type { ByteString } from '../core/engine.js';
import type { StashVersion } from '../core/stash.js';
import { Reader } from '../wire/reader.js';
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
 * Lengths are varints, stamp and expiry doubles, the writer a varint.
 */

const flags = { absent: 0, version: 1, value: 2, expiry: 4, damaged: 8 } as const;

/** What a node found of a key: null: nothing; `damaged`: a record that does not match its CRC. Where only versions were asked for, no value comes along. */
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

  take(): Uint8Array {
    this.count = 0;
    return this.#writer.take() ?? new Uint8Array(0);
  }

  #version({ stamp, writer, expiresAt, value }: StashVersion): void {
    const w = this.#writer;
    const expiry = expiresAt === 0 ? 0 : flags.expiry;
    w.byte(flags.version | expiry | (value === null ? 0 : flags.value));
    w.double(stamp);
    w.uint(writer);
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
    const writer = r.uint();
    const expiresAt = (flagged & flags.expiry) === 0 ? 0 : r.double();
    const value = (flagged & flags.value) === 0 ? null : r.blob();
    return { stamp, writer, expiresAt, value };
  }
}
