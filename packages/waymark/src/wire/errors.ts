import { type ErrorCode, errorCodes, type ErrorFacts, WaymarkError } from '../core/errors.js';
import { malformed, type Reader } from './reader.js';
import type { Writer } from './writer.js';

/** An error as code, message and facts; what is no WaymarkError is told as `internal`, without its message. */
export function writeError(w: Writer, error: unknown): void {
  const told =
    error instanceof WaymarkError ? error : new WaymarkError('internal', 'an internal error');
  w.text(told.code);
  w.text(told.message);
  w.json(told.facts);
}

export function readError(r: Reader): WaymarkError {
  const code = r.text();
  const message = r.text();
  const facts = r.json();
  if (typeof facts !== 'object' || facts === null) throw malformed('facts are an object');
  const known = (errorCodes as readonly string[]).includes(code);
  return new WaymarkError(known ? (code as ErrorCode) : 'internal', message, facts as ErrorFacts);
}
