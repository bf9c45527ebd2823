import type { Duplex } from 'node:stream';

/** Who calls, and how long the answer is of interest. */
export interface Call {
  /** The first value of a metadata key. */
  metadata(key: string): string | undefined;
  readonly socket: Duplex;
  /** Aborts when the client gives up, the deadline is over, or the server stops. */
  readonly signal: AbortSignal;
}

/** A call that is a conversation. */
export interface StreamCall<Request, Response> extends Call, AsyncIterable<Request> {
  /** Sends one message. @returns when there is room for the next, undefined: there is room */
  send(response: Response): Promise<void> | undefined;
  /** As `send`, of a message that is encoded already. */
  sendBytes(message: Uint8Array): Promise<void> | undefined;
}

export type UnaryHandler<Request, Response> = (
  request: Request,
  call: Call,
) => Promise<Response> | Response;

/** The call ends when it returns; what it throws is the status. */
export type StreamHandlerOf<Request, Response> = (
  call: StreamCall<Request, Response>,
) => Promise<void>;
