/** As much of HTTP/2 as unary calls of gRPC need (RFC 9113). */

/** Section 6. */
export const frameTypes = {
  data: 0,
  headers: 1,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const flags = {
  ack: 0x01,
  endStream: 0x01,
  endHeaders: 0x04,
  padded: 0x08,
  priority: 0x20,
} as const;

/** Section 7: nothing was done for the stream; its answer is no longer wanted. */
export const resets = { refused: 7, cancel: 8 } as const;

/** Section 6.5.2. */
export const settings = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
} as const;

const headBytes = 9;
/** What every peer takes; this side takes no more either. */
const frameBytesMax = 16_384;
/** Of each window until told otherwise. */
export const windowBytesDefault = 65_535;
const windowBytesMax = 0x7fff_ffff;
/** Told when half of it is used up, a peer never waits for the connection's window. */
export const windowBytesHalf = 2 ** 30;
export const streamIdMax = 0x7fff_ffff;

/** The peer broke the protocol: nothing that it says any more has a meaning. */
export class ProtocolFault extends Error {}

/**
 * What a client says first. Answers are as large as what was asked for, so no window holds them back; and without a dynamic table a field
 * line means the same wherever it stands.
 */
export const opening: Buffer = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1'),
  frame(frameTypes.settings, 0, 0, [
    ...setting(settings.headerTableSize, 0),
    ...setting(settings.enablePush, 0),
    ...setting(settings.initialWindowSize, windowBytesMax),
  ]),
  windowUpdate(windowBytesMax - windowBytesDefault),
]);

export const settingsAck: Buffer = frame(frameTypes.settings, flags.ack, 0, []);

export function pong(payload: Buffer): Buffer {
  return frame(frameTypes.ping, flags.ack, 0, payload);
}

export function reset(id: number, code: number): Buffer {
  return frame(frameTypes.rstStream, 0, id, uint32(code));
}

/** Of the connection. */
export function windowUpdate(bytes: number): Buffer {
  return frame(frameTypes.windowUpdate, 0, 0, uint32(bytes));
}

/** A whole request, with one message, as it goes to the socket. @param block  its field lines, less than a frame */
export function unaryRequest(id: number, block: Buffer, message: Buffer): Buffer {
  // A byte that says it is not compressed, and its length: so gRPC begins a message.
  const total = 5 + message.length;
  const frames = Math.ceil(total / frameBytesMax);
  const out = Buffer.allocUnsafe(headBytes * (1 + frames) + block.length + total);
  let at = writeHead(out, 0, { type: frameTypes.headers, flagBits: flags.endHeaders, id }, block);
  at += block.copy(out, at);
  for (let sent = 0; sent < total; sent += frameBytesMax) {
    const length = Math.min(frameBytesMax, total - sent);
    const flagBits = sent + length === total ? flags.endStream : 0;
    at = writeHead(out, at, { type: frameTypes.data, flagBits, id }, { length });
    const end = at + length;
    if (sent === 0) {
      out[at] = 0;
      at = out.writeUInt32BE(message.length, at + 1);
    }
    at += message.copy(out, at, Math.max(0, sent - 5), sent - 5 + length);
    if (at !== end) throw new RangeError('a frame is as long as its head says');
  }
  return out;
}

interface Head {
  readonly type: number;
  readonly flagBits: number;
  readonly id: number;
}

/** @returns where what it is the head of begins */
function writeHead(
  out: Buffer,
  at: number,
  { type, flagBits, id }: Head,
  { length }: { readonly length: number },
): number {
  out.writeUIntBE(length, at, 3);
  out[at + 3] = type;
  out[at + 4] = flagBits;
  return out.writeUInt32BE(id, at + 5);
}

function frame(type: number, flagBits: number, id: number, payload: ArrayLike<number>): Buffer {
  const out = Buffer.alloc(headBytes + payload.length);
  out.set(payload, writeHead(out, 0, { type, flagBits, id }, payload));
  return out;
}

function setting(id: number, value: number): number[] {
  return [0, id, ...uint32(value)];
}

function uint32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}

export interface Frame extends Head {
  readonly payload: Buffer;
}

/** Cuts what arrives into frames (section 4.1). */
export class FrameCutter {
  #rest: Buffer | null = null;

  /** @throws {ProtocolFault} for a frame larger than was allowed */
  cut(chunk: Buffer, each: (frame: Frame) => void): void {
    const bytes = this.#rest === null ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (bytes.length - at >= headBytes) {
      const end = at + headBytes + bytes.readUIntBE(at, 3);
      if (end - at > headBytes + frameBytesMax) throw new ProtocolFault('a frame too large');
      if (end > bytes.length) break;
      each({
        type: bytes[at + 3] as number,
        flagBits: bytes[at + 4] as number,
        id: bytes.readUInt32BE(at + 5) & streamIdMax,
        payload: bytes.subarray(at + headBytes, end),
      });
      at = end;
    }
    this.#rest = at === bytes.length ? null : Buffer.from(bytes.subarray(at));
  }
}

/** What DATA or HEADERS holds, without padding and priority (sections 6.1 and 6.2). @throws {ProtocolFault} */
export function contentOf({ type, flagBits, payload }: Frame): Buffer {
  let [start, end] = [0, payload.length];
  if ((flagBits & flags.padded) !== 0) end -= payload[start++] ?? 0;
  if (type === frameTypes.headers && (flagBits & flags.priority) !== 0) start += 5;
  if (start > end) throw new ProtocolFault('more padding than frame');
  return payload.subarray(start, end);
}
