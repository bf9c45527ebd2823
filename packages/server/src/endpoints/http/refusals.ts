import type { IncomingHttpHeaders } from 'node:http';
import { DeliveryFailure } from '../endpoint.js';

/** What an answer other than 2xx means. */
export function refusalOf(
  status: number,
  headers: IncomingHttpHeaders,
  { fence, now }: { readonly fence: number; readonly now: number },
): DeliveryFailure {
  const message = `the endpoint answered ${status}`;
  if (status === 410) return new DeliveryFailure('gone', message);
  // Many answer 409 for reasons of their own: who has seen a higher fence says which.
  if (status === 409 && Number(headers['waymark-fence']) > fence) {
    return new DeliveryFailure('superseded', `${message}: it has seen a higher fence`);
  }
  const asked = status === 429 || status === 503;
  const wait = asked ? retryAfterMs(headers['retry-after'], now) : undefined;
  return new DeliveryFailure('again', message, { retryAfterMs: wait });
}

/**
 * What a `Retry-After` header asks for (RFC 9110, 10.2.3): whole seconds, or a date.
 *
 * @param now  Unix time in ms
 * @returns ms from now, never negative; undefined for what is neither
 */
export function retryAfterMs(
  header: string | readonly string[] | undefined,
  now: number,
): number | undefined {
  const text = typeof header === 'string' ? header.trim() : '';
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000;
  // Date.parse takes far more than the three forms of dates, which all begin with a weekday and hold a time.
  const dated = /^(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? .*\d\d:\d\d:\d\d/i.test(text);
  const at = dated ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}
