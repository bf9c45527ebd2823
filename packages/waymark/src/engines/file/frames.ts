import { crc32 } from 'node:zlib';
import { WaymarkError } from '../../core/errors.js';
import type { DiskFile } from './disk.js';

/**
 * A file of frames: a header, then frames that each hold what was flushed at once.
 *
 *   header  magic 8 · version u32 · salt u32 · kind 4 · number f64 · crc u32        (32 bytes, little endian)
 *   frame   length u32 · crc u32 · sequence f64 · payload                    (crc of sequence and payload, begun at the salt)
 *
 * A frame is written only after the one before is on the disk. So a bad frame with a good one anywhere behind it is damage, and is
 * refused; a bad frame with nothing good behind it is a write that the crash cut short, never acknowledged, and is cut off. The
 * salt keeps a value that looks like a frame from being taken for one.
 */
const magic = 'WAYMARK\n';
const formatVersion = 1;
export const headerBytes = 32;
const frameHeaderBytes = 16;
export const payloadBytesMax = 64 * 1_048_576;

export type FileKind = 'log ' | 'snap';

export interface Header {
  readonly kind: FileKind;
  readonly salt: number;
  readonly number: number;
}

export function encodeHeader({ kind, salt, number }: Header): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.write(magic, 0, 'latin1');
  header.writeUInt32LE(formatVersion, 8);
  header.writeUInt32LE(salt, 12);
  header.write(kind, 16, 'latin1');
  header.writeDoubleLE(number, 20);
  header.writeUInt32LE(crc32(header.subarray(0, 28)), 28);
  return header;
}

/** @returns null when the header itself was cut short by a crash */
export async function readHeader(file: DiskFile, name: string): Promise<Header | null> {
  const header = await file.read(0, headerBytes);
  if (header.length < headerBytes) return null;
  if (header.toString('latin1', 0, 8) !== magic) throw corrupt(name, 0, 'this is no file of Waymark');
  if (header.readUInt32LE(28) !== crc32(header.subarray(0, 28))) throw corrupt(name, 0, 'its header is damaged');
  const version = header.readUInt32LE(8);
  if (version > formatVersion) {
    const what = `${name} has format ${version}; this release reads up to ${formatVersion}: use a newer one`;
    throw new WaymarkError('invalid', what, { file: name });
  }
  return {
    kind: header.toString('latin1', 16, 20) as FileKind,
    salt: header.readUInt32LE(12),
    number: header.readDoubleLE(20),
  };
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

/** The frames of a file, then where the good part ends. */
export async function* readFrames(
  file: DiskFile,
  name: string,
  salt: number,
): AsyncGenerator<Frame, { readonly end: number; readonly torn: boolean }> {
  let offset = headerBytes;
  for (let sequence = 1; offset < file.size; sequence++) {
    const payload = await readFrame(file, offset, salt, sequence);
    if (payload === null) {
      const later = await findFrame(file, offset + 1, salt, sequence);
      if (later === null) return { end: offset, torn: true };
      throw corrupt(name, offset, `a frame is damaged; a good one follows at ${later}`);
    }
    yield { offset, sequence, payload };
    offset += frameHeaderBytes + payload.length;
  }
  return { end: offset, torn: false };
}

async function readFrame(
  file: DiskFile,
  offset: number,
  salt: number,
  sequence: number,
): Promise<Buffer | null> {
  const header = await file.read(offset, frameHeaderBytes);
  if (header.length < frameHeaderBytes || header.readDoubleLE(8) !== sequence) return null;
  const length = header.readUInt32LE(0);
  if (length > payloadBytesMax || offset + frameHeaderBytes + length > file.size) return null;
  const payload = await file.read(offset + frameHeaderBytes, length);
  const crc = crc32(payload, crc32(header.subarray(8), salt));
  return crc === header.readUInt32LE(4) ? payload : null;
}

/** The offset of a good frame at or after `from` whose sequence is `sequence` or later, null when there is none. */
async function findFrame(
  file: DiskFile,
  from: number,
  salt: number,
  sequence: number,
): Promise<number | null> {
  const chunkBytes = 1_048_576;
  for (let start = from; start + frameHeaderBytes <= file.size; start += chunkBytes) {
    const chunk = await file.read(start, chunkBytes + frameHeaderBytes);
    for (let at = 0; at + frameHeaderBytes <= chunk.length && at < chunkBytes; at++) {
      const found = chunk.readDoubleLE(at + 8);
      if (!Number.isSafeInteger(found) || found < sequence || found > sequence + 1e9) continue;
      if ((await readFrame(file, start + at, salt, found)) !== null) return start + at;
    }
  }
  return null;
}

export { frameHeaderBytes };

export function corrupt(file: string, offset: number, why: string): WaymarkError {
  return new WaymarkError(
    'corrupt',
    `${file} at offset ${offset}: ${why}. Restore a backup; \`waymark inspect\` shows what can be read`,
    { file, offset },
  );
}
