import type { Random } from 'waymark/engine';

/** The same numbers for the same seed (mulberry32). */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    next,
    id: () => Array.from({ length: 22 }, () => Math.floor(next() * 36).toString(36)).join(''),
  };
}

export function seedOf(standard: number): number {
  const given = process.env['WAYMARK_SEED'];
  return given === undefined ? standard : Number(given);
}
