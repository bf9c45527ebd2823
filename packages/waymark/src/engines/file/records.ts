import type { Change, ChangeKind, Entry, LeaseId, Revision } from '../../core/engine.js';
import { WaymarkError } from '../../core/errors.js';
import type { JournalRecord } from '../kit/journal.js';
import { frameHeaderBytes } from './frames.js';

/** Hand-written binary records: a type byte, then numbers as varints and byte strings with their length. */

/** Records of snapshots beside those of the journal. */
export type SnapshotRecord =
  | { readonly type: 'begin'; readonly revision: Revision; readonly identity: string }
  | { readonly type: 'entry'; readonly entry: Entry }
  | { readonly type: 'finish'; readonly entries: number };

export type FileRecord = JournalRecord | SnapshotRecord;

const types = ['commit', 'grant', 'end', 'compact', 'begin', 'entry', 'finish'] as const;
const kinds: readonly ChangeKind[] = ['put', 'delete', 'expire'];

/** A buffer that grows, with room for a frame's header in front. */
export class RecordWriter {
  #buffer = Buffer.allocUnsafe(65_536);
  #at = frameHeaderBytes;

  get bytes(): number {
    return this.#at - frameHeaderBytes;
  }

  /** The frame so far, its header not yet filled in; the writer starts anew. */
  take(): Buffer {
    const frame = this.#buffer.subarray(0, this.#at);
    this.#buffer = Buffer.allocUnsafe(Math.max(65_536, Math.min(this.#buffer.length, 4 * 1_048_576)));
    this.#at = frameHeaderBytes;
    return frame;
  }

  write(record: FileRecord): void {
    this.#number(types.indexOf(record.type));
    switch (record.type) {
      case 'commit':
        this.#number(record.revision);
        this.#number(record.changes.length);
        for (const change of record.changes) this.#change(change);
        return;
      case 'grant':
        this.#number(record.id);
        return this.#number(record.ttlMs);
      case 'end':
        return this.#number(record.id);
      case 'compact':
        return this.#number(record.through);
      case 'begin':
        this.#number(record.revision);
        return this.#bytes(record.identity);
      case 'entry':
        return this.#entry(record.entry);
      case 'finish':
        return this.#number(record.entries);
    }
  }

  #change({ kind, entry }: Change): void {
    this.#number(kinds.indexOf(kind));
    if (kind === 'put') this.#entry(entry);
    else this.#bytes(entry.key);
  }

  #entry(entry: Entry): void {
    this.#bytes(entry.key);
    this.#bytes(entry.value);
    this.#number(entry.createRevision);
    this.#number(entry.modRevision);
    this.#number(entry.version);
    this.#number(entry.lease);
  }

  #number(value: number): void {
    this.#reserve(8);
    while (value >= 0x80) {
      this.#buffer[this.#at++] = (value % 0x80) | 0x80;
      value = Math.floor(value / 0x80);
    }
    this.#buffer[this.#at++] = value;
  }

  #bytes(value: string): void {
    this.#number(value.length);
    this.#reserve(value.length);
    this.#at += this.#buffer.write(value, this.#at, 'latin1');
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#at + bytes));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }
}

/** The records of a frame's payload. @throws {WaymarkError} `corrupt` when they do not end where it does */
export function* readRecords(payload: Buffer): Generator<FileRecord> {
  const reader = new RecordReader(payload);
  while (!reader.done) yield reader.record();
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
        const changes = Array.from({ length: count }, () => this.#change(revision));
        return { type, revision, changes };
      }
      case 'grant':
        return { type, id: this.#number() as LeaseId, ttlMs: this.#number() };
      case 'end':
        return { type, id: this.#number() };
      case 'compact':
        return { type, through: this.#number() };
      case 'begin':
        return { type, revision: this.#number(), identity: this.#bytes() };
      case 'entry':
        return { type, entry: this.#entry() };
      case 'finish':
        return { type, entries: this.#number() };
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
      lease: this.#number(),
    };
  }

  #number(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = this.#payload[this.#at++];
      if (byte === undefined || scale > 2 ** 56) throw new WaymarkError('corrupt', 'a number is cut short');
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
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
