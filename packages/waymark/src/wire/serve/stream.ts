import type { Duplex } from 'node:stream';

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
