import { crc32 } from 'node:zlib';
import { WaymarkError } from '../../core/errors.js';
import type { DiskFile } from './disk.js';

/**
 * A file of frames: a header, then frames that each hold what was flushed at once. docs/spec/file-format.md has the bytes.
 *
 * A frame is written only after the one before is on the disk. So a bad frame with a good one anywhere behind it is damage, and
 * is refused; a bad frame with nothing good behind it is a write that a crash cut short, never acknowledged, and is cut off. This
 * holds however the sectors of the last write were kept or lost, since all of them belong to one frame. The salt keeps
 * a value that looks like a frame from being taken for one. Zeros up to the end of the file are reserve, and no damage.
 */
const magic = 'WAYMARK\n';
/** What is written, and the newest that is read: a snapshot with history is of format 2, all else of format 1. */
const plainFormat = 1;
const historyFormat = 2;
export const headerBytes = 32;
export const frameHeaderBytes = 16;
const chunkBytes = 1_048_576;
/** A damaged frame's successors are looked for among so many sequence numbers. */
const sequencesAhead = 1e9;

const kinds = ['log ', 'snap', 'mark'] as const;
export type FileKind = (typeof kinds)[number];

export interface Header {
  readonly kind: FileKind;
  readonly salt: number;
  readonly number: number;
}

export function encodeHeader({ kind, salt, number }: Header, withHistory: boolean): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.write(magic, 0, 'latin1');
  header.writeUInt32LE(withHistory ? historyFormat : plainFormat, 8);
  header.writeUInt32LE(salt, 12);
  header.write(kind, 16, 'latin1');
  header.writeDoubleLE(number, 20);
  header.writeUInt32LE(crc32(header.subarray(0, 28)), 28);
  return header;
}

/** @throws {WaymarkError} `corrupt`, `invalid` for a format of a newer release */
export async function readHeader(
  file: DiskFile,
  name: string,
  wanted: FileKind,
): Promise<Header & { readonly format: number }> {
  const header = await file.read(0, headerBytes);
  if (header.length < headerBytes) throw corrupt(name, header.length, 'its header is cut short');
  if (header.toString('latin1', 0, 8) !== magic)
    throw corrupt(name, 0, 'this is no file of Waymark');
  if (header.readUInt32LE(28) !== crc32(header.subarray(0, 28)))
    throw corrupt(name, 8, 'its header is damaged');
  const format = header.readUInt32LE(8);
  if (format > historyFormat) {
    const what = `${name} has format ${format}; this release reads up to ${historyFormat}: use a newer one`;
    throw new WaymarkError('invalid', what, { file: name });
  }
  const kind = kinds.find((known) => known === header.toString('latin1', 16, 20));
  if (kind !== wanted) throw corrupt(name, 16, `it is a file of another kind, '${String(kind)}'`);
  return { kind, format, salt: header.readUInt32LE(12), number: header.readDoubleLE(20) };
}

/** Fills in the 16 bytes before a payload that begins at `frameHeaderBytes` of `frame`. */
export function sealFrame(frame: Buffer, salt: number, sequence: number): Buffer {
  frame.writeUInt32LE(frame.length - frameHeaderBytes, 0);
  frame.writeDoubleLE(sequence, 8);
  frame.writeUInt32LE(crc32(frame.subarray(8), salt), 4);
  return frame;
}

export interface Frame {
  readonly offset: number;
  readonly sequence: number;
  readonly payload: Buffer;
}

export interface FramesEnd {
  /** Where the last good frame ends. */
  readonly end: number;
  /** Whether something that is no frame follows there. */
  readonly torn: boolean;
  readonly frames: number;
}

/**
 * The frames of a file in order.
 * @throws {WaymarkError} `corrupt` with the offset of a bad frame that a good one follows
 */
export async function* readFrames(
  file: DiskFile,
  name: string,
  salt: number,
): AsyncGenerator<Frame, FramesEnd> {
  const reader = new ChunkedReader(file);
  let offset = headerBytes;
  for (let sequence = 1; ; sequence++) {
    const payload = await readFrame(reader, offset, salt, sequence);
    if (payload === null) {
      const end = { end: offset, frames: sequence - 1 };
      if (await isZeroFrom(file, offset)) return { ...end, torn: false };
      const later = await findFrame(file, offset + 1, salt, sequence);
      if (later === null) return { ...end, torn: true };
      throw corrupt(name, offset, `a frame is damaged; a good one follows at ${later}`);
    }
    yield { offset, sequence, payload };
    offset += frameHeaderBytes + payload.length;
  }
}

/** Reads ahead, so that many small frames cost few calls. */
class ChunkedReader {
  readonly file: DiskFile;
  #start = 0;
  #chunk: Buffer = Buffer.alloc(0);

  constructor(file: DiskFile) {
    this.file = file;
  }

  async read(at: number, length: number): Promise<Buffer> {
    const from = at - this.#start;
    if (from >= 0 && from + length <= this.#chunk.length)
      return this.#chunk.subarray(from, from + length);
    if (length >= chunkBytes) return await this.file.read(at, length);
    this.#chunk = await this.file.read(at, chunkBytes);
    this.#start = at;
    return this.#chunk.subarray(0, length);
  }
}

async function readFrame(
  reader: { readonly file: DiskFile; read(at: number, length: number): Promise<Buffer> },
  offset: number,
  salt: number,
  sequence: number,
): Promise<Buffer | null> {
  const header = await reader.read(offset, frameHeaderBytes);
  if (header.length < frameHeaderBytes || header.readDoubleLE(8) !== sequence) return null;
  const length = header.readUInt32LE(0);
  if (length === 0 || offset + frameHeaderBytes + length > reader.file.size) return null;
  const expected = header.readUInt32LE(4);
  const begun = crc32(header.subarray(8), salt);
  const payload = await reader.read(offset + frameHeaderBytes, length);
  return payload.length === length && crc32(payload, begun) === expected ? payload : null;
}

async function isZeroFrom(file: DiskFile, from: number): Promise<boolean> {
  const zeros = Buffer.alloc(chunkBytes);
  for (let at = from; at < file.size; at += chunkBytes) {
    const chunk = await file.read(at, chunkBytes);
    if (!chunk.equals(zeros.subarray(0, chunk.length))) return false;
  }
  return true;
}

/** The offset of a good frame at or after `from` whose sequence is `sequence` or later, null when there is none. */
async function findFrame(
  file: DiskFile,
  from: number,
  salt: number,
  sequence: number,
): Promise<number | null> {
  const reader = { file, read: (at: number, length: number) => file.read(at, length) };
  for (let start = from; start + frameHeaderBytes <= file.size; start += chunkBytes) {
    const chunk = await file.read(start, chunkBytes + frameHeaderBytes);
    for (let at = 0; at + frameHeaderBytes <= chunk.length && at < chunkBytes; at++) {
      const found = chunk.readDoubleLE(at + 8);
      if (!Number.isSafeInteger(found) || found < sequence || found > sequence + sequencesAhead)
        continue;
      if ((await readFrame(reader, start + at, salt, found)) !== null) return start + at;
    }
  }
  return null;
}

export function corrupt(file: string, offset: number, why: string): WaymarkError {
  return new WaymarkError(
    'corrupt',
    `${file} at offset ${offset}: ${why}. Restore a backup; \`waymark inspect\` shows what can be read`,
    { file, offset },
  );
}
