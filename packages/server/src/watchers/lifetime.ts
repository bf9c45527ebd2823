import { type Lifetime, WaymarkError } from 'waymark/engine';

const msMin = 1_000;
/** 10 years of 365.25 days. */
const msMax = 315_576_000_000;

const duration =
  /^P(?=\d|T\d)(?:(\d{1,9})W)?(?:(\d{1,9})D)?(?:T(?=\d)(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9}(?:\.\d{1,9})?)S)?)?$/;
const unitsMs = [604_800_000, 86_400_000, 3_600_000, 60_000, 1_000] as const;

/** @throws {WaymarkError} `invalid` for what is no duration, or not 1 s to 10 years */
export function lifetimeMs(lifetime: Lifetime): number {
  const ms = typeof lifetime === 'number' ? lifetime * 1_000 : isoMs(lifetime);
  if (ms >= msMin && ms <= msMax) return Math.round(ms);
  const shown = typeof lifetime === 'string' ? `'${lifetime.slice(0, 40)}'` : String(lifetime);
  throw new WaymarkError(
    'invalid',
    `a lifetime is 1 s to 10 years, in seconds or as P7D, PT1H30M (no months and years), not ${shown}`,
  );
}

function isoMs(text: unknown): number {
  const match = typeof text === 'string' ? duration.exec(text) : null;
  if (match === null) return Number.NaN;
  return unitsMs.reduce((sum, unit, at) => sum + Number(match[at + 1] ?? 0) * unit, 0);
}
