/**
 * Time, randomness and ids come from here, so that a test or a simulation can own them. test/tidy bans the
 * platform's own clocks and randomness everywhere but in system-clock.ts.
 */
export interface Clock {
  /** Monotonic milliseconds with a fraction, from an arbitrary start. Judges every lease and deadline. */
  now(): number;
  /** Wall clock, ms since 1970: for people to read (audit, ages across restarts), never for judging. */
  wallNow(): number;
  /**
   * Runs `task` once after `delayMs`; any delay, also beyond 2³¹−1 ms.
   *
   * @param keepAlive  whether a process that waits for nothing else stays for it; default false
   * @returns cancels; harmless when it already ran
   */
  after(delayMs: number, task: () => void, keepAlive?: boolean): () => void;
  /** Runs `task` once this event-loop turn's I/O has been handled. */
  nextTurn(task: () => void): void;
}

export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** 16 random bytes as 22 URL-safe characters, the first of them no '-': ids are arguments of commands. Unguessable in production. */
  id(): string;
}
