import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { WaymarkError } from '../../../core/errors.js';
import type { EtcdTls } from '../etcd-url.js';
import { readFields, writeCallHead } from './fields.js';
import {
  contentOf,
  flags,
  type Frame,
  FrameCutter,
  frameTypes,
  opening,
  pong,
  ProtocolFault,
  reset,
  resets,
  settings,
  settingsAck,
  streamIdMax,
  unaryRequest,
  windowBytesDefault,
  windowBytesHalf,
  windowUpdate,
} from './frames.js';
import { CallFailure, UnaryAnswer } from './unary-answer.js';

export interface UnaryConnectionOptions {
  /** `host:port` */
  readonly address: string;
  readonly tls: EtcdTls | null;
  /** Of the one method that is called. */
  readonly path: string;
}

export type CallDone = (error: Error | null, answer?: Buffer) => void;

/** An answer's field lines take less. */
const blockBytesMax = 65_536;

/**
 * A connection of HTTP/2 for unary calls of one gRPC method whose requests fit into the windows that are open: such a call is one write to
 * the socket, and mostly one read. It never waits: who has more to send than it `takes`, or finds it gone, sends by grpc-js.
 */
export class UnaryConnection {
  readonly #socket: Socket;
  readonly #head: Buffer;
  readonly #cutter = new FrameCutter();
  readonly #streams = new Map<number, { readonly answer: UnaryAnswer; readonly done: CallDone }>();
  #nextId = 1;
  #stands = false;
  #leaving = false;
  /** Of the peer: of the connection, of each stream, and how many streams. */
  #window = windowBytesDefault;
  #streamWindow = windowBytesDefault;
  #streamsMax = Infinity;
  /** Bytes of the connection's own window that are used up. */
  #received = 0;
  /** Field lines of which more follow. */
  #block: { readonly id: number; readonly last: boolean; bytes: Buffer } | null = null;
  #faulty = false;

  constructor({ address, tls, path }: UnaryConnectionOptions) {
    this.#head = writeCallHead({ path, authority: address, secure: tls !== null });
    this.#socket = connect(address, tls, () => this.#socket.write(opening));
    this.#socket.setNoDelay(true);
    this.#socket.unref();
    this.#socket.on('data', (chunk: Buffer) => this.#take(chunk));
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => this.#over());
  }

  /** It takes no more calls, now or ever. */
  get gone(): boolean {
    return this.#leaving;
  }

  /** The peer does not speak HTTP/2 as it must. */
  get faulty(): boolean {
    return this.#faulty;
  }

  /** The peer has answered. */
  get stands(): boolean {
    return this.#stands && !this.#leaving;
  }

  /** Whether a message of so many bytes can be sent at once. */
  takes(bytes: number): boolean {
    const room = Math.min(this.#window, this.#streamWindow);
    return this.stands && bytes + 5 <= room && this.#streams.size < this.#streamsMax;
  }

  /**
   * @param fields  more of them, encoded
   * @param done  told once: `unavailable` when it was certainly not done, a CallFailure for all else
   * @returns gives it up; it may have been done
   */
  call(message: Buffer, fields: Buffer | null, done: CallDone): () => void {
    const id = this.#nextId;
    this.#nextId += 2;
    if (this.#nextId > streamIdMax) this.leave();
    this.#window -= message.length + 5;
    if (this.#streams.size === 0) this.#socket.ref();
    this.#streams.set(id, { answer: new UnaryAnswer(), done });
    const head = fields === null ? this.#head : Buffer.concat([this.#head, fields]);
    this.#socket.write(unaryRequest(id, head, message));
    return () => {
      if (!this.#streams.has(id)) return;
      this.#socket.write(reset(id, resets.cancel));
      this.#settle(id, new CallFailure(1, 'given up'));
    };
  }

  /** No more calls: those on their way are still answered. */
  leave(): void {
    this.#leaving = true;
    if (this.#streams.size === 0) this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    try {
      this.#cutter.cut(chunk, (frame) => this.#frame(frame));
    } catch (error) {
      this.#faulty = true;
      this.#socket.destroy(error as Error);
    }
  }

  #over(): void {
    this.#leaving = true;
    for (const id of [...this.#streams.keys()])
      this.#settle(id, new CallFailure(14, 'the connection to etcd ended'));
  }

  #settle(id: number, error: Error | null, message?: Buffer): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    this.#streams.delete(id);
    if (this.#streams.size === 0) {
      if (this.#leaving) this.#socket.destroy();
      else this.#socket.unref();
    }
    stream.done(error, message);
  }

  #frame(frame: Frame): void {
    const { type, flagBits, id, payload } = frame;
    if (this.#block !== null && type !== frameTypes.continuation)
      throw new ProtocolFault('a frame within a head');
    switch (type) {
      case frameTypes.data:
        return this.#data(frame);
      case frameTypes.headers:
        return this.#headers(frame);
      case frameTypes.continuation:
        return this.#continuation(frame);
      case frameTypes.rstStream:
        return this.#reset(id, payload.readUInt32BE(0));
      case frameTypes.settings:
        if ((flagBits & flags.ack) === 0) this.#settings(payload);
        return;
      case frameTypes.ping:
        if ((flagBits & flags.ack) === 0) this.#socket.write(pong(payload));
        return;
      case frameTypes.goaway:
        return this.#goaway(payload.readUInt32BE(0) & streamIdMax);
      case frameTypes.windowUpdate:
        if (id === 0) this.#window += payload.readUInt32BE(0) & streamIdMax;
    }
  }

  #data(frame: Frame): void {
    this.#received += frame.payload.length;
    if (this.#received >= windowBytesHalf) {
      this.#socket.write(windowUpdate(this.#received));
      this.#received = 0;
    }
    this.#streams.get(frame.id)?.answer.add(contentOf(frame));
    if ((frame.flagBits & flags.endStream) !== 0) this.#ended(frame.id);
  }

  #headers(frame: Frame): void {
    const last = (frame.flagBits & flags.endStream) !== 0;
    const bytes = contentOf(frame);
    if ((frame.flagBits & flags.endHeaders) !== 0) this.#fields(frame.id, last, bytes);
    else this.#block = { id: frame.id, last, bytes: Buffer.from(bytes) };
  }

  #continuation({ id, flagBits, payload }: Frame): void {
    const block = this.#block;
    if (block === null || block.id !== id) throw new ProtocolFault('a CONTINUATION of nothing');
    block.bytes = Buffer.concat([block.bytes, payload]);
    if (block.bytes.length > blockBytesMax) throw new ProtocolFault('a head without end');
    if ((flagBits & flags.endHeaders) === 0) return;
    this.#block = null;
    this.#fields(id, block.last, block.bytes);
  }

  #fields(id: number, last: boolean, block: Buffer): void {
    const answer = this.#streams.get(id)?.answer;
    readFields(block, (name, value) => answer?.field(name, value));
    if (last) this.#ended(id);
  }

  #ended(id: number): void {
    const answer = this.#streams.get(id)?.answer;
    if (answer === undefined) return;
    let message: Buffer;
    try {
      message = answer.message();
    } catch (error) {
      return this.#settle(id, error as Error);
    }
    this.#settle(id, null, message);
  }

  #reset(id: number, code: number): void {
    const refused = code === resets.refused;
    this.#settle(id, refused ? unsent() : new CallFailure(14, `etcd reset the call: ${code}`));
  }

  #settings(payload: Buffer): void {
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      const value = payload.readUInt32BE(at + 2);
      const id = payload.readUInt16BE(at);
      // Windows of streams that are open do not matter: all that they send is sent.
      if (id === settings.initialWindowSize) this.#streamWindow = value;
      else if (id === settings.maxConcurrentStreams) this.#streamsMax = value;
    }
    this.#stands = true;
    this.#socket.write(settingsAck);
  }

  /** Section 6.8: streams above the last were not looked at. */
  #goaway(lastId: number): void {
    this.leave();
    for (const id of [...this.#streams.keys()]) if (id > lastId) this.#settle(id, unsent());
  }
}

function connect(address: string, tls: EtcdTls | null, connected: () => void): Socket {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
  const port = Number(address.slice(colon + 1));
  if (tls === null) return connectTcp({ host, port }, connected);
  const { ca, cert, key } = tls;
  const files = { ca: ca ?? undefined, cert: cert ?? undefined, key: key ?? undefined };
  const socket: TLSSocket = connectTls({ host, port, ...files, ALPNProtocols: ['h2'] }, () => {
    if (socket.alpnProtocol === 'h2') connected();
    else socket.destroy();
  });
  return socket;
}

function unsent(): WaymarkError {
  return new WaymarkError('unavailable', 'etcd takes leave: it did not look at the call');
}
