import {
  type Batch,
  type Clock,
  type Engine,
  type KeyRange,
  pause,
  type Revision,
} from 'waymark/engine';

export interface Followed {
  readonly engine: Engine;
  readonly clock: Clock;
  /** Ends it. */
  readonly stopping: AbortSignal;
  readonly range: KeyRange;
  /** What is taken already. */
  readonly from: Revision;
  /** Takes what is there. @returns the revision of it */
  readonly load: () => Promise<Revision>;
  /** Takes what changes, with the entries before. */
  readonly take: (batch: Batch) => void;
}

const againMs = 500;

/** Knows a range by heart: takes its changes, and loads it again, should the engine be away, or have dropped history. */
export async function follow(followed: Followed): Promise<void> {
  const { engine, clock, range, from, load, take, stopping: signal } = followed;
  let after: Revision | null = from;
  while (!signal.aborted) {
    try {
      after ??= await load();
      for await (const batch of engine.watch([range], { after, previous: true, signal })) {
        take(batch);
      }
    } catch {
      after = null;
      await pause(clock, againMs, signal).catch(() => {});
    }
  }
}
