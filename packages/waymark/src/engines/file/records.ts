import type { Change, ChangeKind, Entry, LeaseId, Revision } from '../../core/engine.js';
import { WaymarkError } from '../../core/errors.js';
import { isPlainLeaseId, leaseIdBytes, readLeaseId } from '../../core/lease-id.js';
import type { JournalRecord } from '../kit/journal.js';
import { frameHeaderBytes } from './frames.js';

/**
 * Hand-written binary records: a type byte, then numbers as varints and byte strings with their length.
 * docs/spec/file-format.md has the bytes.
 */

/** The first record of every log and snapshot. */
export interface BeginRecord {
  readonly type: 'begin';
  /** The newest revision before this file. */
  readonly revision: Revision;
  readonly identity: string;
  /** Grows each time the data is rebuilt from a backup. */
  readonly epoch: number;
  /** Where the log before this one ended; 0 for the first and in snapshots. */
  readonly previousEnd: number;
}

/** Records beside those of the journal. */
export type OwnRecord =
  | BeginRecord
  | { readonly type: 'entry'; readonly entry: Entry }
  | { readonly type: 'finish'; readonly entries: number }
  /** The log of this number reaches at least so far: what a clean close leaves behind. */
  | { readonly type: 'mark'; readonly number: number; readonly end: number };

export type FileRecord = JournalRecord | OwnRecord;

const types = ['commit', 'grant', 'end', 'compact', 'begin', 'entry', 'finish', 'mark'] as const;
const kinds: readonly ChangeKind[] = ['put', 'delete', 'expire'];
const startBytes = 65_536;
/** A larger buffer is not kept for the next frame. */
const keptBytesMax = 4 * 1_048_576;

/** A buffer that grows, with room for a frame's header in front. */
export class RecordWriter {
  #buffer: Buffer = Buffer.allocUnsafeSlow(startBytes);
  #at = frameHeaderBytes;
  #spare: Buffer | null = null;

  get bytes(): number {
    return this.#at - frameHeaderBytes;
  }

  /** The frame so far, its header not yet filled in; the writer starts anew. */
  take(): Buffer {
    const frame = this.#buffer.subarray(0, this.#at);
    this.#buffer = this.#spare ?? Buffer.allocUnsafeSlow(startBytes);
    this.#spare = null;
    this.#at = frameHeaderBytes;
    return frame;
  }

  /** A frame that is written lends its memory to a later one. */
  giveBack(frame: Buffer): void {
    const { byteLength } = frame.buffer;
    if (byteLength >= startBytes && byteLength <= keptBytesMax)
      this.#spare = Buffer.from(frame.buffer);
  }

  write(record: FileRecord): void {
    this.#reserve(64);
    this.#buffer[this.#at++] = types.indexOf(record.type);
    switch (record.type) {
      case 'commit':
        this.#number(record.revision);
        this.#number(record.changes.length);
        for (const change of record.changes) this.#change(change);
        return;
      case 'grant':
        this.#leaseId(record.id);
        return this.#number(record.ttlMs);
      case 'end':
        return this.#leaseId(record.id);
      case 'compact':
        return this.#number(record.through);
      case 'begin':
        this.#number(record.revision);
        this.#number(record.epoch);
        this.#number(record.previousEnd);
        return this.#bytes(record.identity);
      case 'entry':
        this.#reserve(64 + record.entry.key.length + record.entry.value.length);
        return this.#entry(record.entry);
      case 'finish':
        return this.#number(record.entries);
      case 'mark':
        this.#number(record.number);
        return this.#number(record.end);
    }
  }

  #change({ kind, entry }: Change): void {
    this.#reserve(64 + entry.key.length + entry.value.length);
    this.#buffer[this.#at++] = kinds.indexOf(kind);
    if (kind === 'put') this.#entry(entry);
    else this.#bytes(entry.key);
  }

  #entry(entry: Entry): void {
    this.#bytes(entry.key);
    this.#bytes(entry.value);
    this.#number(entry.createRevision);
    this.#number(entry.modRevision);
    this.#number(entry.version);
    this.#leaseId(entry.lease);
  }

  /** The caller has reserved 10 bytes for it. */
  #leaseId(id: LeaseId): void {
    if (isPlainLeaseId(id)) return this.#number(id);
    for (const byte of leaseIdBytes(id)) this.#buffer[this.#at++] = byte;
  }

  /** The caller has reserved 8 bytes for it. */
  #number(value: number): void {
    const buffer = this.#buffer;
    let at = this.#at;
    while (value >= 0x80) {
      buffer[at++] = (value % 0x80) | 0x80;
      value = Math.floor(value / 0x80);
    }
    buffer[at++] = value;
    this.#at = at;
  }

  #bytes(value: string): void {
    this.#number(value.length);
    this.#at += this.#buffer.write(value, this.#at, 'latin1');
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, this.#at + bytes));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }
}

/** The records of a frame's payload. @throws {WaymarkError} `corrupt` when they do not end where it does */
export function readRecords(payload: Buffer): FileRecord[] {
  const reader = new RecordReader(payload);
  const records: FileRecord[] = [];
  while (!reader.done) records.push(reader.record());
  return records;
}

class RecordReader {
  readonly #payload: Buffer;
  #at = 0;

  constructor(payload: Buffer) {
    this.#payload = payload;
  }

  get done(): boolean {
    return this.#at >= this.#payload.length;
  }

  record(): FileRecord {
    const type = types[this.#number()];
    switch (type) {
      case 'commit': {
        const revision = this.#number();
        const count = this.#number();
        const changes: Change[] = [];
        while (changes.length < count) changes.push(this.#change(revision));
        return { type, revision, changes };
      }
      case 'grant':
        return { type, id: this.#leaseId(), ttlMs: this.#number() };
      case 'end':
        return { type, id: this.#leaseId() };
      case 'compact':
        return { type, through: this.#number() };
      case 'begin':
        return {
          type,
          revision: this.#number(),
          epoch: this.#number(),
          previousEnd: this.#number(),
          identity: this.#bytes(),
        };
      case 'entry':
        return { type, entry: this.#entry() };
      case 'finish':
        return { type, entries: this.#number() };
      case 'mark':
        return { type, number: this.#number(), end: this.#number() };
      case undefined:
        throw new WaymarkError('corrupt', 'a record of an unknown type');
      default:
        return type satisfies never;
    }
  }

  #change(revision: Revision): Change {
    const kind = kinds[this.#number()];
    if (kind === undefined) throw new WaymarkError('corrupt', 'a change of an unknown kind');
    if (kind === 'put') return { kind, entry: this.#entry() };
    const key = this.#bytes();
    return {
      kind,
      entry: { key, value: '', createRevision: 0, modRevision: revision, version: 0, lease: 0 },
    };
  }

  #entry(): Entry {
    return {
      key: this.#bytes(),
      value: this.#bytes(),
      createRevision: this.#number(),
      modRevision: this.#number(),
      version: this.#number(),
      lease: this.#leaseId(),
    };
  }

  #leaseId(): LeaseId {
    let last = this.#at;
    while ((this.#payload[last] ?? 0) >= 0x80) last++;
    // Of so few bytes a number is exact; all ids that are picked here have no more.
    if (last - this.#at < 7) return this.#number();
    const id = readLeaseId(() => this.#byte());
    if (id === null) throw new WaymarkError('corrupt', 'a number is beyond 64 bits');
    return id;
  }

  #number(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = this.#byte();
      if (scale > 2 ** 56) throw new WaymarkError('corrupt', 'a number is cut short');
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }

  #byte(): number {
    const byte = this.#payload[this.#at++];
    if (byte === undefined) throw new WaymarkError('corrupt', 'a number is cut short');
    return byte;
  }

  #bytes(): string {
    const length = this.#number();
    const end = this.#at + length;
    if (end > this.#payload.length) throw new WaymarkError('corrupt', 'a byte string is cut short');
    const value = this.#payload.toString('latin1', this.#at, end);
    this.#at = end;
    return value;
  }
}
