/** How far a stream has come: kept by the receiver, with what the events did. */
export interface StreamPosition {
  /** The sequence of the last event applied; null before the first. */
  readonly last: string | null;
  /** The highest that was seen; 0 before the first. */
  readonly fence: number;
}

/**
 * Whether something between is missing. Who has applied more than `previous` has missed nothing: what came after it has no watcher any more. Who
 * has applied nothing begins here.
 */
export function isGap(previous: string, last: string | null): boolean {
  return last !== null && previous > last;
}

/**
 * Keeps where a receiver stands, for as long as repeats shall be known. To have each event's effect once through crashes too, write the event's sequence
 * and fence in the transaction that `onEvent` makes, and read them here.
 */
export interface ReceiverStore {
  /** Of a stream that was never seen: null. */
  position(stream: string): StreamPosition | null | Promise<StreamPosition | null>;
  /** Called once a request, after its events were handled. */
  keep(stream: string, position: StreamPosition): void | Promise<void>;
}

const streamsMax = 10_000;

/** Remembers as long as the process runs, the streams that spoke last. */
export function memoryStore(): ReceiverStore {
  const positions = new Map<string, StreamPosition>();
  return {
    position: (stream) => positions.get(stream) ?? null,
    keep: (stream, position) => {
      positions.delete(stream);
      positions.set(stream, position);
      if (positions.size <= streamsMax) return;
      const [oldest = ''] = positions.keys();
      positions.delete(oldest);
    },
  };
}
