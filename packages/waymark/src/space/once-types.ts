import type { HoldCall } from './types.js';

/** The public types of jobs that run once, and on schedule. Rules O1 to O9 in docs/spec/recipes.md. */

/** What a job that runs once is told. */
export interface OnceRun {
  /** Grows with every run of the same key: pass it to what the job touches. */
  readonly token: number;
  /** Aborts when the claim is lost: before another could run the job. */
  readonly signal: AbortSignal;
}

export interface OnceCall extends HoldCall {
  /**
   * What becomes of the key when the job throws. 'release', the default: the next caller runs it. 'record': nobody does, and all others
   * fail with `failed`.
   */
  readonly whenFailed?: 'release' | 'record' | undefined;
}

/** When a job is due: at every multiple of `everyMs` since 1970, or as five fields of cron say. */
export type When =
  | { readonly everyMs: number }
  | {
      /** `minute hour day-of-month month day-of-week`; also `@daily` and its like. */
      readonly cron: string;
      /** An IANA name; default UTC. */
      readonly timeZone?: string | undefined;
    };

/** What a scheduled job is told. */
export interface DueRun {
  /** The due time, ms since 1970. */
  readonly at: number;
  /** Grows with every leader of the schedule: pass it to what the job touches. */
  readonly term: number;
  /** Aborts when the term is lost or the schedule stops. */
  readonly signal: AbortSignal;
}

export interface ScheduleCall {
  /** How soon another process takes over from one that fell silent; 1 000 to 31 536 000 000, default 10 000. */
  readonly ttlMs?: number | undefined;
  readonly owner?: string | undefined;
  /**
   * What becomes of due times that passed while no process led or the job still ran. 'run', the default: the newest of them is run, once.
   * 'skip': none is.
   */
  readonly missed?: 'run' | 'skip' | undefined;
  /** Told what a job threw; the schedule goes on. */
  readonly onError?: ((error: unknown, run: DueRun) => void) | undefined;
  /** Stops it. */
  readonly signal?: AbortSignal | undefined;
}

/** This process's part in a schedule. */
export interface Schedule extends AsyncDisposable {
  readonly path: string;
  /** Resolves once it has stopped and no job of it runs; rejects with what ended it (`denied`, `superseded`, …). */
  readonly closed: Promise<void>;
  /** What the last job of this process that failed threw; undefined while none has. */
  readonly lastError: unknown;
  /** Whether this process runs the job, by the local clock. */
  isLeader(): boolean;
  /** Aborts the job's signal, waits for it and hands the schedule over. */
  stop(): Promise<void>;
}
