import { Cron } from 'croner';
import { WaymarkError } from '../core/errors.js';
import type { When } from './once-types.js';

/** Due times in ms since 1970: the same ones in every process, whenever it was started. */
export interface DueTimes {
  /** The first one later than `after`. */
  next(after: number): number;
  /** The last one later than `after` and not later than `now`; null when there is none. */
  newest(after: number, now: number): number | null;
}

const everyMsMin = 100;
const everyMsMax = 31_536_000_000;
const cronBytesMax = 256;

/** @throws {WaymarkError} `invalid` */
export function dueTimes(when: When): DueTimes {
  return 'cron' in when ? cronTimes(when.cron, when.timeZone ?? 'UTC') : everyTimes(when.everyMs);
}

function everyTimes(everyMs: number): DueTimes {
  if (!Number.isInteger(everyMs) || everyMs < everyMsMin || everyMs > everyMsMax) {
    const range = `${everyMsMin} to ${everyMsMax} whole milliseconds`;
    throw new WaymarkError('invalid', `everyMs is ${range}, not ${String(everyMs)}`);
  }
  const floor = (time: number): number => Math.floor(time / everyMs) * everyMs;
  return {
    next: (after) => floor(after) + everyMs,
    newest(after, now) {
      const due = floor(now);
      return due > after ? due : null;
    },
  };
}

function cronTimes(pattern: string, timezone: string): DueTimes {
  const cron = parse(pattern, timezone);
  const next = (after: number): number => {
    const due = cron.nextRun(new Date(after));
    if (due === null) throw invalidCron(pattern, 'it is never due');
    return due.getTime();
  };
  return {
    next,
    newest(after, now) {
      if (next(after) > now) return null;
      // What croner looks back from is not among what it finds.
      const [due] = cron.previousRuns(1, new Date(Math.floor(now / 1_000) * 1_000 + 1_000));
      return due === undefined ? null : due.getTime();
    },
  };
}

function parse(pattern: string, timezone: string): Cron {
  if (typeof pattern !== 'string' || pattern.length > cronBytesMax) {
    throw invalidCron(String(pattern), `a pattern is text of at most ${cronBytesMax} characters`);
  }
  try {
    const cron = new Cron(pattern, { timezone, mode: '5-part', paused: true });
    // The zone and a pattern that never comes are found out by asking.
    if (cron.nextRun(new Date(0)) === null) throw new RangeError('it is never due');
    return cron;
  } catch (cause) {
    throw invalidCron(pattern, cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function invalidCron(pattern: string, why: string, cause?: unknown): WaymarkError {
  return new WaymarkError('invalid', `cron '${pattern.slice(0, 80)}': ${why}`, {}, cause);
}
