import type { Batch } from './engine.js';

/** Who is handed the next batch of a watch. One of the three is called, once. */
export interface BatchSink {
  batch(batch: Batch): void;
  ended(): void;
  failed(error: unknown): void;
}

/** A watch that can hand over its next batch without a promise, which counts where there are a thousand of them. */
export interface DirectBatches extends AsyncIterator<Batch> {
  /** As `next`; the sink may be called before this returns. */
  pull(sink: BatchSink): void;
  /** The next batch is to come soon, a bookmark where nothing has changed; what cannot tell where it is lets that be. */
  owe(): void;
}

/** Asks for the next batch, directly where that is offered. */
export function pull(batches: AsyncIterator<Batch>, sink: BatchSink): void {
  if (isDirect(batches)) return batches.pull(sink);
  batches.next().then(
    (step) => (step.done === true ? sink.ended() : sink.batch(step.value)),
    (error: unknown) => sink.failed(error),
  );
}

/** Asks a watch to tell how far it has come: see `DirectBatches.owe`. */
export function askForBookmark(batches: AsyncIterator<Batch>): void {
  if (isDirect(batches)) batches.owe();
}

function isDirect(batches: AsyncIterator<Batch>): batches is DirectBatches {
  return 'pull' in batches;
}

/** `next` of a watch that is pulled. */
export function nextOf(batches: Pick<DirectBatches, 'pull'>): Promise<IteratorResult<Batch>> {
  return new Promise((resolve, reject) => {
    batches.pull({
      batch: (value) => resolve({ value, done: false }),
      ended: () => resolve({ value: undefined, done: true }),
      failed: reject,
    });
  });
}
