import type { Duplex } from 'node:stream';
import type { Fields, ServedStream, StreamHandler } from '../transport.js';
import { codes } from './codes.js';
import type { FieldBlock } from './field-block.js';
import type { FieldsEncoder } from './fields-encoder.js';
import type { Outlet } from './outlet.js';
import { streamWindowBytes, type ReceiveFlow } from './receive-flow.js';
import type { SendFlow } from './send-flow.js';

/** What a stream needs of its connection. */
export interface StreamHost {
  readonly socket: Duplex;
  readonly outlet: Outlet;
  readonly sending: SendFlow;
  readonly receiving: ReceiveFlow;
  readonly encoder: FieldsEncoder;
  /** The answer is whole. */
  answered(stream: OwnStream): void;
  /** Tells the client that the stream is over. */
  reset(stream: OwnStream, code: number): void;
  /** Has `settle` called at the end of the turn. */
  due(stream: OwnStream): void;
}

/**
 * One request and its answer. Its handler is never called from within a call of its own: what follows from one is told at the end of
 * the turn.
 */
export class OwnStream implements ServedStream {
  readonly id: number;
  readonly #host: StreamHost;
  readonly #head: FieldBlock;
  handler: StreamHandler | null = null;
  /** The client has said all. */
  heard: boolean;
  /** Neither side has anything to say. */
  over = false;
  #responded = false;
  #ended = false;
  #trailers: Fields = [];

  sendWindow: number;
  /** Pieces that wait to be sent, the first from `queueAt` on; null when none does. */
  queue: Uint8Array[] | null = null;
  queueAt = 0;
  queued = 0;
  /** Has a turn to come. */
  ready = false;
  wantsDrain = false;

  #receiveWindow = streamWindowBytes;
  #taken = 0;
  #bodyBytes = 0;
  #paused = false;
  /** What has come since `pause`, and how much of the window it takes, padding and all. */
  #held: Buffer[] | null = null;
  #heldBytes = 0;

  #drained = false;
  #isDue = false;

  constructor(host: StreamHost, id: number, head: FieldBlock, heard: boolean) {
    this.#host = host;
    this.id = id;
    this.#head = head;
    this.heard = heard;
    this.sendWindow = host.sending.initialWindow;
  }

  get method(): string {
    return this.#head.method;
  }

  get path(): string {
    return this.#head.path;
  }

  get authority(): string {
    return this.#head.authority ?? this.header('host') ?? '';
  }

  get fields(): Fields {
    return this.#head.fields;
  }

  get socket(): Duplex {
    return this.#host.socket;
  }

  header(name: string): string | undefined {
    for (const field of this.#head.fields) if (field[0] === name) return field[1];
    return undefined;
  }

  respond(fields: Fields, end = false): void {
    if (this.over || this.#responded) return;
    this.#responded = true;
    this.#host.outlet.headers(this.id, this.#host.encoder.encode(fields), end);
    if (!end) return;
    this.#ended = true;
    this.#host.answered(this);
  }

  write(bytes: Uint8Array): boolean {
    if (this.#unable()) return true;
    return this.#host.sending.write(this, bytes);
  }

  end(trailers: Fields = []): void {
    if (this.#unable()) return;
    this.#ended = true;
    this.#trailers = trailers;
    if (this.queue === null) this.#finish();
  }

  reset(code: number): void {
    if (!this.over) this.#host.reset(this, code);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.#held !== null) this.#ask();
  }

  /** A body without a head is a fault of whoever answers: the client is told that there will be no answer. */
  #unable(): boolean {
    if (this.over || this.#ended) return true;
    if (!this.#responded) this.reset(codes.internalError);
    return !this.#responded;
  }

  #finish(): void {
    const { outlet, encoder } = this.#host;
    if (this.#trailers.length === 0) outlet.endStream(this.id);
    else outlet.headers(this.id, encoder.encode(this.#trailers), true);
    this.#host.answered(this);
  }

  /** All that waited is sent. */
  emptied(): void {
    if (this.#ended) return this.#finish();
    if (!this.wantsDrain) return;
    this.wantsDrain = false;
    this.#drained = true;
    this.#ask();
  }

  /**
   * The client has sent so much of the body.
   *
   * @param taken  of the window, padding and all
   * @returns the code of the error it made with it, or 0
   */
  take(bytes: Buffer, taken: number, last: boolean): number {
    this.#receiveWindow -= taken;
    if (this.#receiveWindow < 0) return codes.flowControlError;
    this.#bodyBytes += bytes.length;
    const announced = this.#head.contentLength;
    if (announced >= 0 && (last ? this.#bodyBytes !== announced : this.#bodyBytes > announced))
      return codes.protocolError;
    this.heard = last;
    if (this.#held !== null || this.#paused) this.#hold(bytes, taken);
    else {
      this.#give(taken);
      if (bytes.length > 0) this.handler?.data(bytes);
    }
    if (last) this.#tellEnd();
    return 0;
  }

  /** The client has said all with a head, or with trailers. @returns as `take` */
  hearEnd(): number {
    const announced = this.#head.contentLength;
    if (announced >= 0 && this.#bodyBytes !== announced) return codes.protocolError;
    this.heard = true;
    this.#tellEnd();
    return 0;
  }

  /** Tells the handler what it was not told from within its own calls. */
  settle(): void {
    this.#isDue = false;
    if (this.over) return this.handler?.closed();
    if (this.#held !== null) this.#deliver(this.#held);
    if (!this.#drained || this.over) return;
    this.#drained = false;
    this.handler?.drained();
  }

  /** Nothing will be said or heard any more. */
  close(): void {
    this.over = true;
    this.#host.sending.forget(this);
    this.#host.receiving.give(this.#heldBytes);
    this.#held = null;
    this.#ask();
  }

  #hold(bytes: Buffer, taken: number): void {
    if (this.#held === null) this.#held = [];
    this.#held.push(bytes);
    this.#heldBytes += taken;
  }

  #deliver(held: Buffer[]): void {
    let given = 0;
    while (given < held.length && !this.#paused && !this.over) {
      const bytes = held[given++] as Buffer;
      if (bytes.length > 0) this.handler?.data(bytes);
    }
    if (this.over) return;
    if (given < held.length) {
      this.#held = held.slice(given);
      return;
    }
    this.#held = null;
    this.#give(this.#heldBytes);
    this.#heldBytes = 0;
    if (this.heard) this.handler?.ended();
  }

  #tellEnd(): void {
    if (!this.over && this.#held === null) this.handler?.ended();
  }

  /** Lets the client send so much more, when enough has come together. */
  #give(taken: number): void {
    this.#host.receiving.give(taken);
    this.#taken += taken;
    if (this.#taken < streamWindowBytes / 2 || this.heard) return;
    this.#host.outlet.windowUpdate(this.id, this.#taken);
    this.#receiveWindow += this.#taken;
    this.#taken = 0;
  }

  #ask(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#host.due(this);
  }
}
