import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { systemClock } from 'waymark/engine';
import { flags, frameTypes, preface } from '../http2/own/codes.js';
import { FieldsEncoder } from '../http2/own/fields-encoder.js';
import { createOwnTransport } from '../http2/own/transport.js';
import type {
  Fields,
  ServedStream,
  StreamHandler,
  Transport,
  TransportOptions,
} from '../http2/transport.js';

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

/** The bytes of a frame, right or wrong. */
export function frame(type: number, flagBits: number, id: number, payload?: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload?.length ?? 0, 0, 3);
  head[3] = type;
  head[4] = flagBits;
  head.writeUInt32BE(id, 5);
  return payload === undefined ? head : Buffer.concat([head, payload]);
}

export function word(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value, 4 * i);
  return bytes;
}

export function settings(...values: [id: number, value: number][]): Buffer {
  const bytes = Buffer.alloc(6 * values.length);
  for (const [i, [id, value]] of values.entries()) {
    bytes.writeUInt16BE(id, 6 * i);
    bytes.writeUInt32BE(value, 6 * i + 2);
  }
  return frame(frameTypes.settings, 0, 0, bytes);
}

/** The preface, settings, and the acknowledgement of those that will come. */
export function greeting(...values: [id: number, value: number][]): Buffer {
  return Buffer.concat([preface, settings(...values), frame(frameTypes.settings, flags.ack, 0)]);
}

const encoder = new FieldsEncoder();

export function block(fields: Fields): Buffer {
  return Buffer.from(encoder.encode([...fields]));
}

export const post: Fields = [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':authority', 'localhost'],
  [':path', '/echo'],
];

/** HEADERS with END_HEADERS, a whole request unless told that more comes. */
export function request(id: number, more: Fields = [], end = true): Buffer {
  const flagBits = flags.endHeaders | (end ? flags.endStream : 0);
  return frame(frameTypes.headers, flagBits, id, block([...post, ...more]));
}

export function data(id: number, bytes: Uint8Array | string, end = false): Buffer {
  return frame(frameTypes.data, end ? flags.endStream : 0, id, Buffer.from(bytes as Uint8Array));
}

/** A client that says exactly what it is told to, and shows each frame that comes. */
export class RawHttp2 {
  readonly socket: Socket;
  #bytes: Buffer = Buffer.alloc(0);
  #wake: () => void = () => {};
  #ended = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#wake();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#ended = true;
      this.#wake();
    });
  }

  /** @param hello  what is said first: the preface and empty SETTINGS unless given */
  static async open(port: number, hello = greeting()) {
    const socket = connect({ port, host: '127.0.0.1' });
    await once(socket, 'connect');
    const client = new RawHttp2(socket);
    client.send(hello);
    return client;
  }

  send(...frames: Buffer[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  /** @returns undefined when the connection has ended */
  async next(): Promise<Frame | undefined> {
    for (;;) {
      const bytes = this.#bytes;
      const end = bytes.length < 9 ? Infinity : 9 + bytes.readUIntBE(0, 3);
      if (bytes.length >= end) {
        this.#bytes = bytes.subarray(end);
        const [type = 0, flagBits = 0] = [bytes[3], bytes[4]];
        return {
          type,
          flags: flagBits,
          id: bytes.readUInt32BE(5) & 0x7fff_ffff,
          payload: bytes.subarray(9, end),
        };
      }
      if (this.#ended) return undefined;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** The next frame of a type, and of a stream if one is named; others before it are passed over. */
  async find(type: number, id?: number): Promise<Frame> {
    const seen: string[] = [];
    for (;;) {
      const found = await this.next();
      if (found === undefined) throw new Error(`ended without ${type}; seen: ${seen.join(' ')}`);
      if (found.type === type && (id === undefined || found.id === id)) return found;
      seen.push(`${found.type}/${found.id}:${found.payload.toString('hex').slice(0, 32)}`);
    }
  }

  /** @returns the code of the GOAWAY, once the connection has ended after it */
  async goaway(): Promise<number> {
    const { payload } = await this.find(frameTypes.goaway);
    while ((await this.next()) !== undefined);
    return payload.readUInt32BE(4);
  }

  /** @returns the code with which the stream was given up */
  async reset(id: number): Promise<number> {
    return (await this.find(frameTypes.rstStream, id)).payload.readUInt32BE(0);
  }

  /** @returns once all that was sent before has been handled */
  async roundTrip(): Promise<Frame> {
    const payload = Buffer.from('roundtrp');
    this.send(frame(frameTypes.ping, 0, 0, payload));
    for (;;) {
      const found = await this.find(frameTypes.ping);
      if (found.payload.equals(payload)) return found;
    }
  }

  close(): void {
    this.socket.destroy();
  }
}

export interface ServedHttp2 extends AsyncDisposable {
  readonly port: number;
  readonly transport: Transport;
  /** What the transport refused, and why. */
  readonly refused: string[];
  /** Sockets of this side. */
  readonly sockets: Socket[];
}

export async function serveHttp2(options: Partial<TransportOptions> = {}): Promise<ServedHttp2> {
  const refused: string[] = [];
  const sockets: Socket[] = [];
  const transport = createOwnTransport({
    clock: systemClock,
    accept: echo,
    refused: (reason) => refused.push(reason),
    ...options,
  });
  const server = createServer((socket) => {
    sockets.push(socket);
    transport.serve(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    transport,
    refused,
    sockets,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** One stream, and what its handler was told, in order. */
export interface Seen {
  readonly stream: ServedStream;
  readonly told: string[];
}

/** Serves, and notes what each handler is told before it acts itself. */
export async function serveSeen(
  act: (stream: ServedStream, seen: Seen) => Partial<StreamHandler> | void = () => {},
  options: Partial<TransportOptions> = {},
) {
  const seen: Seen[] = [];
  const waiting: (() => void)[] = [];
  const served = await serveHttp2({
    ...options,
    accept(stream) {
      const told: string[] = [];
      const one = { stream, told };
      seen.push(one);
      const handler = act(stream, one) ?? {};
      const tell = (what: string): void => {
        told.push(what);
        for (const wake of waiting.splice(0)) wake();
      };
      return {
        data(bytes) {
          tell(`data ${bytes.length}`);
          handler.data?.(bytes);
        },
        ended() {
          tell('ended');
          handler.ended?.();
        },
        drained() {
          tell('drained');
          handler.drained?.();
        },
        closed() {
          tell('closed');
          handler.closed?.();
        },
      };
    },
  });
  const told = async (what: string, i = 0): Promise<void> => {
    while (seen[i]?.told.includes(what) !== true)
      await new Promise<void>((resolve) => waiting.push(resolve));
  };
  return { served, seen, told };
}

const ok: Fields = [
  [':status', '200'],
  ['content-type', 'application/octet-stream'],
];
const trailers: Fields = [['grpc-status', '0']];

/** Answers with the body as it came, and trailers. */
export function echo(stream: ServedStream): StreamHandler {
  const pieces: Buffer[] = [];
  return {
    data: (bytes) => void pieces.push(bytes),
    ended() {
      stream.respond(ok);
      stream.write(Buffer.concat(pieces));
      stream.end(trailers);
    },
    drained() {},
    closed() {},
  };
}
