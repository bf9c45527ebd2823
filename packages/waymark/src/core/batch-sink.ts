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
}

export function isDirect(batches: AsyncIterator<Batch>): batches is DirectBatches {
  return 'pull' in batches;
}
