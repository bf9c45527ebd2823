/** Splits a list where neighbours are not alike, so that the runs in their order are the list. */
export function runsOf<T>(items: readonly T[], alike: (one: T, next: T) => boolean): T[][] {
  const runs: T[][] = [];
  let last: T[] | undefined;
  for (const item of items) {
    const before = last?.at(-1);
    if (last !== undefined && before !== undefined && alike(before, item)) last.push(item);
    else runs.push((last = [item]));
  }
  return runs;
}
