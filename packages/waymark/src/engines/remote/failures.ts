import { WaymarkError } from '../../core/errors.js';

/** What went wrong last is told: a certificate that is not trusted looks like no server else. */
export function unanswered(url: string, cause: unknown): WaymarkError {
  const why = cause instanceof Error ? ` (${cause.message})` : '';
  const text = `no server answered at ${url}${why}: start one, or name another`;
  return new WaymarkError('unavailable', text, {}, cause);
}

export function broken(url: string, cause: unknown): WaymarkError {
  const why = cause instanceof Error ? cause.message : 'it was closed';
  return new WaymarkError('unavailable', `no connection to ${url}: ${why}`, {}, cause);
}
