import type { ServedEvents, ServedStream } from 'waymark/wire';
import type { WebSocket } from 'ws';

/** A WebSocket message is cut here, wherever in a frame that is: messages carry a stream of bytes. */
const messageBytesMax = 1_048_576;

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
