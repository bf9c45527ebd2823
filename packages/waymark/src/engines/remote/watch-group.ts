import type { KeyRange, Revision } from '../../core/engine.js';
import { readBatch } from '../../wire/batch-codec.js';
import type { WatchArgs } from '../../wire/engine-methods.js';
import type { Sink } from './pending.js';
import { WatchStream } from './watch-stream.js';

export interface WatchSink extends Sink {
  args(): WatchArgs;
}

/** Where streams come from: a connection's watch call. */
export interface WatchSource {
  /** @returns ends it */
  subscribe(namespace: string, sink: WatchSink): () => void;
  /**
   * The server's present revision.
   * @throws {WaymarkError} what a watch after `at` would be refused with: `compacted`, `future_revision`
   */
  present(namespace: string, range: KeyRange, at?: Revision): Promise<Revision>;
  /** The engine spoken to. */
  identity(): string | undefined;
}

/** The watches of the same ranges: the first stream is the one they share, the others catch up. */
export class WatchGroup {
  readonly streams: WatchStream[] = [];
  members = 0;
  readonly source: WatchSource;
  readonly namespace: string;
  readonly ranges: readonly KeyRange[];
  readonly #previous: boolean;
  readonly #unused: () => void;

  constructor(
    source: WatchSource,
    namespace: string,
    ranges: readonly KeyRange[],
    previous: boolean,
    unused: () => void,
  ) {
    this.source = source;
    this.namespace = namespace;
    this.ranges = ranges;
    this.#previous = previous;
    this.#unused = unused;
  }

  open(after: Revision | undefined, identity: string | undefined): WatchStream {
    const stream = new WatchStream(after, () => this.members === 1);
    let from = identity;
    this.streams.push(stream);
    const stop = this.source.subscribe(this.namespace, {
      args: () => ({
        ranges: this.ranges,
        after: stream.last,
        previous: this.#previous,
        identity: from,
      }),
      batch: (reader) => {
        from ??= this.source.identity();
        stream.push(readBatch(reader));
      },
      answer: () => {},
      failed: (error) => {
        this.#drop(stream);
        stream.fail(error);
      },
    });
    stream.onEmpty = () => {
      this.#drop(stream);
      stop();
    };
    return stream;
  }

  left(): void {
    if (--this.members === 0) this.#unused();
  }

  #drop(stream: WatchStream): void {
    const index = this.streams.indexOf(stream);
    if (index >= 0) this.streams.splice(index, 1);
  }
}
