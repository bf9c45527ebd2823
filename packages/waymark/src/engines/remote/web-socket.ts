import type { Transport, TransportEvents } from './transport.js';

/** A WebSocket message is cut here, wherever in a frame that is: messages carry a stream of bytes. */
const messageBytesMax = 1_048_576;

/** What is used of a WebSocket, whoever made it. */
export interface WebSocketLike {
  binaryType: string;
  readonly readyState: number;
  readonly bufferedAmount: number;
  send(bytes: Uint8Array<ArrayBuffer>): void;
  close(): void;
  terminate?(): void;
  addEventListener(
    type: string,
    listener: (event: { data?: unknown; error?: Error }) => void,
  ): void;
}

/** The stream of bytes in messages of a WebSocket: where the URL names no path, over that of a server. */
export function overWebSocket(
  target: URL,
  events: TransportEvents,
  make: (href: string) => WebSocketLike,
): Transport {
  if (target.pathname === '/') target.pathname = '/v1/socket';
  const socket = make(target.href);
  let failure: Error | undefined;
  socket.binaryType = 'arraybuffer';
  socket.addEventListener('open', () => events.opened());
  socket.addEventListener('message', (event) => {
    if (typeof event.data !== 'string') events.data(Buffer.from(event.data as ArrayBuffer));
  });
  socket.addEventListener('error', (event) => {
    failure = event.error ?? new Error('the WebSocket failed');
  });
  socket.addEventListener('close', () => events.closed(failure));
  return {
    send(bytes) {
      if (socket.readyState !== 1) return;
      for (let at = 0; at < bytes.length; at += messageBytesMax) {
        socket.send(bytes.subarray(at, at + messageBytesMax) as Uint8Array<ArrayBuffer>);
      }
    },
    get buffered() {
      return socket.bufferedAmount;
    },
    end: () => socket.close(),
    destroy: () => (socket.terminate === undefined ? socket.close() : socket.terminate()),
  };
}
