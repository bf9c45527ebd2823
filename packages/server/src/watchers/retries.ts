import type { RetrySchedule } from 'waymark/engine';

const hourMs = 3_600_000;
/** 3 tries over 4 hours. */
const defaultWaits = [hourMs, 3 * hourMs];
/** 10 tries over 3 days: 10 s, then 3.4 times as long each time. */
const standardWaits = Array.from({ length: 9 }, (_, turn) => Math.round(10_000 * 3.412 ** turn));
/** What an endpoint may ask for with Retry-After. */
const askedMsMax = hourMs;
const varies = 0.2;

/**
 * How long to wait after a delivery has failed so often.
 *
 * @param attempts  tries so far, from 1
 * @param askedMs  what the endpoint asked for: it waits at least so long, within an hour
 * @returns null when there is no next try
 */
export function waitAfter(
  schedule: RetrySchedule,
  attempts: number,
  random: () => number,
  askedMs = 0,
): number | null {
  const wait = scheduled(schedule, attempts);
  if (wait === null) return null;
  const varied = wait * (1 - varies + 2 * varies * random());
  return Math.round(Math.max(varied, Math.min(askedMs, askedMsMax)));
}

function scheduled(schedule: RetrySchedule, attempts: number): number | null {
  if (schedule === 'forever') return Math.min(1_000 * 2 ** Math.min(attempts - 1, 20), hourMs);
  const waits =
    schedule === 'default' ? defaultWaits : schedule === 'standard' ? standardWaits : schedule;
  return waits[attempts - 1] ?? null;
}
