import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';

/** A WebSocket message is cut here, wherever in a frame that is: messages carry a stream of bytes. */
const messageBytesMax = 1_048_576;

/** What a connection is served over: a socket, or a WebSocket whose messages carry the same frames. */
export interface ServedStream {
  send(bytes: Buffer): void;
  readonly buffered: number;
  pause(): void;
  resume(): void;
  end(): void;
  destroy(): void;
}

export interface ServedEvents {
  data(chunk: Buffer): void;
  drained(): void;
  gone(): void;
}

export function overDuplex(stream: Duplex, events: ServedEvents): ServedStream {
  if ('setNoDelay' in stream) (stream.setNoDelay as (on: boolean) => void)(true);
  stream.on('data', (chunk: Buffer) => events.data(chunk));
  stream.on('drain', () => events.drained());
  // Told by 'close', which follows.
  stream.on('error', () => {});
  stream.on('end', () => stream.destroy());
  stream.on('close', () => events.gone());
  return {
    send(bytes) {
      if (!stream.destroyed && stream.writable) stream.write(bytes);
    },
    get buffered() {
      return stream.writableLength;
    },
    pause: () => void stream.pause(),
    resume: () => void stream.resume(),
    end: () => void stream.end(),
    destroy: () => void stream.destroy(),
  };
}

export function overWebSocket(socket: WebSocket, events: ServedEvents): ServedStream {
  socket.binaryType = 'nodebuffer';
  socket.on('message', (data: Buffer, binary: boolean) => {
    if (binary) events.data(data);
  });
  socket.on('error', () => {});
  socket.on('close', () => events.gone());
  const sent = (): void => {
    if (socket.bufferedAmount === 0) events.drained();
  };
  return {
    send(bytes) {
      if (socket.readyState !== 1) return;
      for (let at = 0; at < bytes.length; at += messageBytesMax) {
        socket.send(bytes.subarray(at, at + messageBytesMax), sent);
      }
    },
    get buffered() {
      return socket.bufferedAmount;
    },
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    end: () => socket.close(1000),
    destroy: () => socket.terminate(),
  };
}
