import { one, readPattern, star, type Step, takes } from './glob.js';

/**
 * Whether every path that `narrow` matches is matched by `wide`. True is a proof; false may mean that none was found.
 *
 * The steps of both are laid side by side: a star of `wide` takes any of `narrow`'s steps, stars too, and every other step takes one of `narrow`'s that allows no more.
 */
export function covers(wide: string, narrow: string): boolean {
  const a = readPattern(wide).steps;
  const b = readPattern(narrow).steps;
  // The empty text is matched by the empty pattern alone.
  if (b.length === 0) return a.length === 0;
  // Whether `a` from here on takes what `b` has from its nth step on.
  let after = new Uint8Array(b.length + 1);
  after[b.length] = 1;
  for (let i = a.length - 1; i >= 0; i--) {
    const step = a[i] as Step;
    const here = new Uint8Array(b.length + 1);
    for (let j = b.length; j >= 0; j--) {
      if (step === star) here[j] = (after[j] as number) | (here[j + 1] ?? 0);
      else if (j < b.length && allows(step, b[j] as Step)) here[j] = after[j + 1] as number;
    }
    after = here;
  }
  return after[0] === 1;
}

function allows(wide: Step, narrow: Step): boolean {
  if (narrow === star) return false;
  if (wide === one) return true;
  if (narrow === one) return false;
  if (typeof narrow === 'number') return takes(wide, narrow);
  if (typeof wide === 'number') return false;
  return narrow.every((bits, i) => (bits & ~(wide[i] as number)) === 0);
}
