import {
  askForBookmark,
  type Batch,
  type BatchSink,
  type Change,
  pull,
  type Revision,
} from 'waymark/engine';
import type { OpenedWatch } from './open-watch.js';

export interface StreamWatchParts extends OpenedWatch {
  readonly asked: AskedWatch;
}

/** What a client asked of a watch. */
export interface AskedWatch {
  readonly id: bigint;
  /** `watch_id` as it goes out. */
  readonly idField: Buffer;
  /** Nothing below this is told. */
  readonly from: Revision;
  readonly puts: boolean;
  readonly deletes: boolean;
  readonly fragment: boolean;
  readonly progress: boolean;
}

/** The stream of a watch. */
export interface WatchTurns {
  /** Let `step` be called when there is room. */
  enqueue(watch: StreamWatch): void;
  tell(asked: AskedWatch, batch: Batch): void;
  /** It is over by itself. */
  over(watch: StreamWatch, error: unknown): void;
}

/**
 * One watch of a stream. Between its turns it is with the engine, or waits for one with what the engine handed it meanwhile: one batch. History
 * it catches up with is asked for in its turns alone, a batch a turn; so a client that does not read costs a position, not memory.
 */
export class StreamWatch implements BatchSink {
  readonly asked: AskedWatch;
  /** Everything up to here has been told. */
  told: Revision;
  /** The last revision of which the client knows. */
  last: Revision = 0;
  /** The engine is asked and has nothing at hand. */
  idle = false;
  /** Progress is told at the next tick unless an event is told before. */
  quiet = true;
  readonly #batches: AsyncIterator<Batch>;
  readonly #turns: WatchTurns;
  #held: Batch | null;
  #stepping = false;
  #closed = false;

  constructor({ batches, told, first, asked }: StreamWatchParts, turns: WatchTurns) {
    this.#batches = batches;
    this.told = told;
    this.#held = first;
    this.asked = asked;
    this.#turns = turns;
  }

  /** Tells what it holds, and asks for more. */
  step(): void {
    if (this.#closed) return;
    const held = this.#held;
    if (held !== null) {
      this.#held = null;
      this.#tell(held);
    }
    this.#stepping = true;
    this.idle = true;
    pull(this.#batches, this);
    this.#stepping = false;
  }

  /** Wants to know where the watch stands: the answer is its next batch. */
  ask(): void {
    askForBookmark(this.#batches);
  }

  /** Whether a client may be told that nothing is missing up to `revision`. */
  progressed(revision: Revision): boolean {
    return this.idle && this.told >= revision && revision >= this.asked.from;
  }

  batch(batch: Batch): void {
    if (this.#closed) return;
    this.idle = false;
    if (this.#stepping) this.#tell(batch);
    else this.#held = batch;
    this.#turns.enqueue(this);
  }

  ended(): void {
    this.failed(null);
  }

  failed(error: unknown): void {
    if (this.#closed) return;
    this.close();
    this.#turns.over(this, error);
  }

  close(): void {
    this.#closed = true;
    this.idle = false;
    this.#held = null;
    this.#batches.return?.().then(undefined, () => undefined);
  }

  #tell({ revision, changes }: Batch): void {
    const wanted = changes.filter(this.#wants);
    if (wanted.length > 0) {
      this.quiet = false;
      this.last = revision;
      this.#turns.tell(this.asked, { revision, changes: wanted });
    }
    this.told = revision;
  }

  readonly #wants = ({ kind, entry }: Change): boolean => {
    const { from, puts, deletes } = this.asked;
    return entry.modRevision >= from && (kind === 'put' ? puts : deletes);
  };
}
