import type { LeaseId, Revision } from '../core/engine.js';
import type { LockParty, WaitStep } from '../core/host.js';
import type { HoldCall } from './types.js';

/** The public types of jobs that run once, and on schedule. Rules O1 to O9 in docs/spec/recipes.md. */

/** What a job that runs once is told. */
export interface OnceRun {
  /** Grows with every run of the same key: pass it to what the job touches. */
  readonly token: number;
  /** Aborts when the claim is lost: before another could run the job. */
  readonly signal: AbortSignal;
  /** How long the claim stands yet, by the local clock; 0 when it is lost. */
  remainingMs(): number;
}

/** What has become of a job that runs once. */
export interface OnceState {
  readonly path: string;
  /** 'open': it has not run, or whoever ran it failed. 'failed': it was recorded so, and nobody runs it until it is forgotten. */
  readonly state: 'open' | 'running' | 'done' | 'failed';
  /** Who runs it, or ran it; null while open. */
  readonly owner: string | null;
  /** The revision it runs since, or was recorded at; null while open. */
  readonly since: Revision | null;
  /** Done: what it came to, as JSON has it; absent for undefined. */
  readonly value?: unknown;
  /** Failed: what it threw. */
  readonly failed?: string;
}

export interface OnceExplanation extends OnceState {
  readonly revision: Revision;
  /** Who runs it: one, or nobody. */
  readonly holders: readonly LockParty[];
  /** Who waits for what it comes to, in the order in which they would run it. */
  readonly waiters: readonly LockParty[];
  /** Those who wait for each other, as that of a lock's explanation. */
  readonly cycle: readonly WaitStep[];
  /** One sentence for people. */
  readonly summary: string;
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
  /** How long the term stands yet, by the local clock; 0 when it is lost. */
  remainingMs(): number;
}

/** What is known of a schedule without being one of its processes. */
export interface ScheduleState {
  readonly path: string;
  /** Who runs its jobs now; null while nobody leads. */
  readonly leader: {
    readonly owner: string;
    readonly term: number;
    readonly lease: LeaseId;
  } | null;
  /** As its leader has it; null while nobody leads. */
  readonly when: When | null;
  /** Due time of the run that was begun last, ms since 1970; null before the first. How it ended is not kept. */
  readonly last: number | null;
  /** The due time that comes next, by this process's wall clock; null while nobody leads. */
  readonly next: number | null;
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
