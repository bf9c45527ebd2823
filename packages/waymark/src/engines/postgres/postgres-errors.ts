import { type ErrorCode, WaymarkError } from '../../core/errors.js';

/** What a failed statement may have done: nothing that lasts, or, once it was sent outside a transaction or as COMMIT, everything. */
export type Risk = 'nothing' | 'everything';

/** SQLSTATEs, the longest match wins (PostgreSQL documentation, appendix A). */
const codes: Readonly<Record<string, ErrorCode>> = {
  '08': 'unavailable',
  '25006': 'unavailable',
  '28': 'unauthenticated',
  '3D': 'invalid',
  '40': 'unavailable',
  '42501': 'denied',
  '53': 'unavailable',
  '53100': 'storage_full',
  '53300': 'overloaded',
  '55P03': 'unavailable',
  '57': 'unavailable',
  '58': 'unavailable',
  XX001: 'corrupt',
  XX002: 'corrupt',
};

interface ServerError {
  readonly code?: string | undefined;
  readonly severity?: string | undefined;
  readonly message: string;
}

/**
 * What a failed call of the driver means. The server's ERROR undoes the statement and what went before it in the transaction; a
 * connection that ended, or a FATAL, leaves a COMMIT that was sent open (K11).
 */
export function toWaymarkError(error: unknown, risk: Risk): WaymarkError {
  if (error instanceof WaymarkError) return error;
  const { code, severity, message } = error as ServerError;
  const refused = severity === 'ERROR';
  const state = typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && severity !== undefined;
  if (risk === 'everything' && !refused) {
    const text = `PostgreSQL may have applied it: ${message}`;
    return new WaymarkError('uncertain', text, {}, error);
  }
  if (!state) return new WaymarkError('unavailable', wordsOf(message), {}, error);
  const meant = codes[code] ?? codes[code.slice(0, 2)] ?? 'internal';
  return new WaymarkError(meant, wordsOf(message), {}, error);
}

/** Whether the server is of no more use to this connection: it is gone, or has become a standby. */
export function endsConnection(error: unknown): boolean {
  if (error instanceof WaymarkError) return false;
  const { code, severity } = (error ?? {}) as Partial<ServerError>;
  return severity !== 'ERROR' || code === '25006';
}

function wordsOf(message: string): string {
  return `PostgreSQL: ${message}`;
}
