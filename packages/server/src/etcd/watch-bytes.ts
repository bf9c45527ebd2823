import {
  bytesSize,
  create,
  eventType,
  ProtobufWriter,
  toBinary,
  uintSize,
  WatchResponseSchema,
} from 'waymark/etcd';
import {
  type Batch,
  type Change,
  type Clock,
  type Entry,
  isPlainLeaseId,
  type LeaseId,
  leaseIdBytes,
  type Revision,
} from 'waymark/engine';
import type { Ground } from './ground.js';
import { HeaderBytes } from './header-bytes.js';
import { bareKey } from './key-area.js';

/**
 * Events as they go out, encoded by hand: a change is encoded once however many watches tell of it in one turn, and a response is then no
 * more than its head and copies. Field numbers are those of proto/etcd.proto.
 */

/** From here on a response is cut into fragments, for those who ask for that: etcd's limit of a request and what it adds for gRPC. */
const fragmentBytes = 1_572_864 + 524_288;
/** Copying is what a longer one costs, encoded or not. */
const keptBytesMax = 16_384;

export interface ToldBatch extends Batch {
  /** The watch's id, as `watchIdField` has it. */
  readonly watchId: Buffer;
  readonly fragment: boolean;
}

/** `watch_id`, tag and all: any int64. */
export function watchIdField(watchId: bigint): Buffer {
  return Buffer.from(toBinary(WatchResponseSchema, create(WatchResponseSchema, { watchId })));
}

export class WatchBytes {
  readonly #clock: Clock;
  readonly #headers: HeaderBytes;
  readonly #kept = new Map<Change, Buffer>();

  constructor({ clock, header }: Ground) {
    this.#clock = clock;
    this.#headers = new HeaderBytes(header);
  }

  /** The responses that tell of a batch: one, or its fragments. */
  responses({ revision, changes, watchId, fragment }: ToldBatch): Buffer[] {
    const events = changes.map((change) => this.#event(change));
    const headSize = this.#headers.size(revision) + watchId.length;
    const pieces = fragment ? cut(events, headSize) : [events];
    return pieces.map((piece, index) =>
      this.#response({ revision, watchId, events: piece, more: index < pieces.length - 1 }),
    );
  }

  #response(parts: {
    readonly revision: Revision;
    readonly watchId: Buffer;
    readonly events: readonly Buffer[];
    readonly more: boolean;
  }): Buffer {
    const { revision, watchId, events, more } = parts;
    let size = this.#headers.size(revision) + watchId.length + (more ? 2 : 0);
    for (const { length } of events) size += bytesSize(length);
    const writer = new ProtobufWriter(size);
    this.#headers.write(writer, revision);
    writer.raw(watchId);
    if (more) writer.uint(7, 1);
    for (const event of events) writer.bytes(11, event);
    return writer.done();
  }

  #event(change: Change): Buffer {
    const kept = this.#kept.get(change);
    if (kept !== undefined) return kept;
    const event = eventBytes(change);
    if (event.length > keptBytesMax) return event;
    this.#kept.set(change, event);
    if (this.#kept.size === 1) this.#clock.nextTurn(() => this.#kept.clear());
    return event;
  }
}

/** As etcd cuts: a fragment stays below the limit, unless one event alone is longer. */
function cut(events: readonly Buffer[], headSize: number): readonly (readonly Buffer[])[] {
  let size = headSize;
  for (const { length } of events) size += bytesSize(length);
  if (size < fragmentBytes || events.length < 2) return [events];
  const pieces: Buffer[][] = [];
  let piece: Buffer[] = [];
  size = headSize + 2;
  for (const event of events) {
    const eventSize = bytesSize(event.length);
    if (piece.length > 0 && size + eventSize >= fragmentBytes) {
      pieces.push(piece);
      piece = [];
      size = headSize + 2;
    }
    piece.push(event);
    size += eventSize;
  }
  return [...pieces, piece];
}

function eventBytes({ kind, entry, previous }: Change): Buffer {
  const put = kind === 'put';
  const told = put ? entry : { ...entry, ...gone };
  const size = entrySize(told);
  const previousSize = previous ? entrySize(previous) : 0;
  const writer = new ProtobufWriter(
    (put ? 0 : 2) + bytesSize(size) + (previous ? bytesSize(previousSize) : 0),
  );
  if (!put) writer.uint(1, eventType.delete);
  writer.begin(2, size);
  writeEntry(writer, told);
  if (previous) {
    writer.begin(3, previousSize);
    writeEntry(writer, previous);
  }
  return writer.done();
}

/** Of what is gone etcd tells the key and the revision alone. */
const gone = { value: '', createRevision: 0, version: 0, lease: 0 };

function entrySize(entry: Entry): number {
  const { createRevision, modRevision, version, value, lease } = entry;
  return (
    bytesSize(bareKey(entry.key).length) +
    numberSize(createRevision) +
    numberSize(modRevision) +
    numberSize(version) +
    (value === '' ? 0 : bytesSize(value.length)) +
    leaseSize(lease)
  );
}

const leaseField = 6;

function leaseSize(lease: LeaseId): number {
  return isPlainLeaseId(lease) ? numberSize(lease) : 1 + leaseIdBytes(lease).length;
}

function numberSize(value: number): number {
  return value === 0 ? 0 : 1 + uintSize(value);
}

function writeEntry(writer: ProtobufWriter, entry: Entry): void {
  const number = (field: number, value: number): void => {
    if (value !== 0) writer.uint(field, value);
  };
  writer.text(1, bareKey(entry.key), '');
  number(2, entry.createRevision);
  number(3, entry.modRevision);
  number(4, entry.version);
  if (entry.value !== '') writer.text(5, entry.value, '');
  if (isPlainLeaseId(entry.lease)) number(leaseField, entry.lease);
  else writer.raw(Uint8Array.of(8 * leaseField, ...leaseIdBytes(entry.lease)));
}
