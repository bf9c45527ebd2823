import type { Call } from './types.js';

/** A whole number that many change, from -(2^53-1) to 2^53-1. */
export interface Counter {
  readonly path: string;
  /**
   * @param by  default 1; below 0 takes away
   * @returns the sum with it
   * @throws {WaymarkError} `exhausted` beyond the bounds; `uncertain` when it may have been added: it is never added twice by itself
   */
  add(by?: number, call?: Call): Promise<number>;
  get(call?: Call): Promise<number>;
  /** @throws {WaymarkError} `conflict` when it is not at `ifValue` */
  set(value: number, call?: Call & { readonly ifValue?: number | undefined }): Promise<void>;
}

/** Opens once, for everyone and for ever. */
export interface Latch {
  readonly path: string;
  /** @returns whether this call opened it */
  open(call?: Call): Promise<boolean>;
  isOpen(call?: Call): Promise<boolean>;
  /**
   * Resolves when it is open.
   *
   * @param call.waitMs  give up (`timeout`) after so long; default: wait until the signal aborts
   */
  wait(call?: Call & { readonly waitMs?: number | undefined }): Promise<void>;
}
