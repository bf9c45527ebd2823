import type { Random } from 'waymark/engine';
import { SeededRandom } from '../faults/random.js';

/** The same numbers for the same seed. */
export function seededRandom(seed: number): Random {
  const random = new SeededRandom(seed);
  return {
    next: () => random.next(),
    id: () => Array.from({ length: 22 }, () => random.below(36).toString(36)).join(''),
  };
}

export function seedOf(standard: number): number {
  const given = process.env['WAYMARK_SEED'];
  return given === undefined ? standard : Number(given);
}
