import type { Spread } from './model.js';

/**
 * What came between two looks at a histogram took at most so long, for that part of it: told by the bounds of the bucket it falls into, in which it is
 * taken to be spread evenly, as Prometheus does.
 *
 * @returns null when nothing came
 */
export function quantileMs(
  { before, now }: { readonly before: Spread; readonly now: Spread },
  part: number,
): number | null {
  const all = now.count - before.count;
  if (all <= 0) return null;
  const wanted = all * part;
  let below = 0;
  let lower = 0;
  for (const [i, upper] of now.boundsMs.entries()) {
    const count = (now.counts[i] ?? 0) - (before.counts[i] ?? 0);
    if (below + count >= wanted && count > 0)
      return lower + ((upper - lower) * (wanted - below)) / count;
    below += count;
    lower = upper;
  }
  return lower;
}
