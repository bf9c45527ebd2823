import type { Duplex } from 'node:stream';
import type { Clock } from 'waymark/engine';

/**
 * HTTP/2 as the faces above see it, whoever speaks the frames: one stream is one request and its answer.
 */

/** Field lines in their order: names in lower case, values as byte strings (each char one byte). Given again as the same array they may cost less. */
export type Fields = readonly (readonly [name: string, value: string])[];

/** One request, from the side of who answers it. Nothing here throws: what is sent after the stream has closed goes nowhere. */
export interface ServedStream {
  readonly method: string;
  /** With the query, as it was sent. */
  readonly path: string;
  /** The host that the client means, with its port: `:authority`, or else the field `host`. */
  readonly authority: string;
  /** Of the request, without the pseudo-header fields. */
  readonly fields: Fields;
  /** The first value of the field of the request. */
  header(name: string): string | undefined;
  /** The connection it came by. */
  readonly socket: Duplex;
  /** The head of the answer: once, before anything else. @param end  that is all: no body, no trailers */
  respond(fields: Fields, end?: boolean): void;
  /** A piece of the body, whose memory is the transport's from now on. @returns false when so much waits to be sent that the next piece should wait for `drained` */
  write(bytes: Uint8Array): boolean;
  /** The body is whole. What the client has still to say is of no interest any more. */
  end(trailers?: Fields): void;
  /** Gives the stream up. @param code  of RFC 9113 section 7 */
  reset(code: number): void;
  /** Lets the client wait with what it has to say, by flow control, until `resume`. */
  pause(): void;
  resume(): void;
}

/** Who answers a request is told of what becomes of it. */
export interface StreamHandler {
  /** A piece of the body; its memory is the handler's. */
  data(bytes: Buffer): void;
  /** The body is whole. */
  ended(): void;
  /** What waited to be sent is gone: go on writing. */
  drained(): void;
  /** The last call: the answer is sent, or the client, or the connection, has given up before. */
  closed(): void;
}

export interface TransportOptions {
  readonly clock: Clock;
  /** Called for each request once its head is there; `data` and the like are told to what it returns. */
  readonly accept: (stream: ServedStream) => StreamHandler;
  /** Requests of one connection at the same time. Default 1 000. */
  readonly streamsMax?: number | undefined;
  /** Bytes of the field lines of one request, counted as RFC 9113 section 6.5.2 does. Default 65 536. */
  readonly fieldBytesMax?: number | undefined;
  /** A connection that has said nothing for so long is asked for a sign of life. Default 7 200 000 (2 h). */
  readonly pingAfterMs?: number | undefined;
  /** And ended when none comes within so long. Default 20 000. */
  readonly pingTimeoutMs?: number | undefined;
  /** Told of connections that are ended for what they do: 'flood', 'protocol', 'silent', … */
  readonly refused?: ((reason: string) => void) | undefined;
}

export interface Transport {
  /** Serves a connection from its first byte on, the preface. The socket is the transport's now. */
  serve(socket: Duplex): void;
  readonly connections: number;
  /** Tells the clients to connect elsewhere, lets what is under way finish, and ends what has not after `graceMs`. */
  drain(graceMs: number): Promise<void>;
}

export type CreateTransport = (options: TransportOptions) => Transport;
