import { WaymarkError } from '../../core/errors.js';

/** The reason of an abort that the client asked for; no client is told of it. */
export const cancelled = new WaymarkError('unavailable', 'the call was cancelled');

/** @param passed  the limit that was passed, by its name */
export function overloaded(passed: Readonly<Record<string, number>>): WaymarkError {
  const [[limit, max] = ['', 0]] = Object.entries(passed);
  const text = `more than ${max} at once on one connection (${limit})`;
  return new WaymarkError('overloaded', text, { limit, max });
}

export function goingAway(): WaymarkError {
  return new WaymarkError('unavailable', 'the server is closing: ask again on a new connection');
}
