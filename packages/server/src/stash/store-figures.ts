/** What a store counts since it was opened. */
export interface StoreFigures {
  reads: number;
  writes: number;
  damaged: number;
  reaped: number;
  /** As they were counted last: lines of keys that were written again meanwhile are in it. */
  tombstones: number;
}

export function noFigures(): StoreFigures {
  return { reads: 0, writes: 0, damaged: 0, reaped: 0, tombstones: 0 };
}
