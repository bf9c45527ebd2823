import { WaymarkError } from '../core/errors.js';
import { limits } from '../core/limits.js';

/** What a request for a permit wants of its semaphore. */
export interface PermitWish {
  readonly path: string;
  readonly weight: number;
  /** Absent: the stored one counts. */
  readonly limit?: number | undefined;
}

/** @throws {WaymarkError} `invalid` */
export function checkWish({ path, weight, limit }: PermitWish): void {
  checkWhole('weight of a permit', weight);
  if (limit === undefined) return;
  checkLimit(limit);
  if (weight > limit) throw tooHeavy(path, weight, limit);
}

/** @throws {WaymarkError} `invalid` */
export function checkLimit(limit: number): void {
  checkWhole('limit of a semaphore', limit);
}

/** @returns why the request can never be granted under the stored limit, null when it can */
export function refusal(
  { path, weight, limit }: PermitWish,
  stored: number | null,
): WaymarkError | null {
  if (stored === null) return limit === undefined ? noSemaphore(path) : null;
  if (limit !== undefined && limit !== stored) {
    const message = `the semaphore ${path} has limit ${stored}, not ${limit}: use that one, leave it out, or resize`;
    return new WaymarkError('limit_mismatch', message, { path, max: stored, actual: limit });
  }
  return weight > stored ? tooHeavy(path, weight, stored) : null;
}

export function noSemaphore(path: string): WaymarkError {
  const message = `there is no semaphore ${path} yet: the first request that tells a limit makes it`;
  return new WaymarkError('not_found', message, { path });
}

export function tooHeavy(path: string, weight: number, limit: number): WaymarkError {
  const message = `a permit of weight ${weight} never fits into the semaphore ${path}, whose limit is ${limit}`;
  return new WaymarkError('invalid', message, { path, max: limit, actual: weight });
}

function checkWhole(what: string, value: number): void {
  const max = limits.semaphoreLimitMax;
  if (Number.isInteger(value) && value >= 1 && value <= max) return;
  const message = `the ${what} is a whole number from 1 to ${max}, not ${String(value)}`;
  throw new WaymarkError('invalid', message, { max });
}
