/** What a candidate's process tells the test. Times are milliseconds of the machine's monotonic clock, the same in all processes. */
export type Told =
  | { readonly kind: 'standing' }
  | { readonly kind: 'elected'; readonly term: number; readonly at: number }
  | {
      readonly kind: 'over';
      readonly term: number;
      /** When it last found that it leads, from before it asked: a pause after it does not count. */
      readonly believedAt: number;
      readonly signalAt: number;
    };

export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** What is sent to the leader. */
export interface Body {
  readonly message: number;
  /** Its handler throws. */
  readonly fails: boolean;
}

/** What a leader notes of a message that its handler was given. */
export interface Accepted {
  readonly message: number;
  readonly term: number;
  readonly by: string;
  /** When it was asked whether it leads, or was called when it was not. */
  readonly believedAt: number;
}
