/** The figures that `/metrics` tells (Prometheus text): enough of it to show how a server does. */

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export type Samples = readonly Sample[];

export function parseMetrics(text: string): Samples {
  const samples: Sample[] = [];
  for (const line of text.split('\n')) {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (match === null) continue;
    const [, name = '', labels = '', value] = match;
    samples.push({ name, labels: labelsOf(labels), value: Number(value) });
  }
  return samples;
}

function labelsOf(text: string): Record<string, string> {
  const pairs = text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g);
  return Object.fromEntries([...pairs].map(([, name, value]) => [name, value] as const));
}

/** @returns null where there is no such family */
export function sum(
  samples: Samples,
  name: string,
  matches: (labels: Sample['labels']) => boolean = () => true,
): number | null {
  const found = samples.filter((one) => one.name === name && matches(one.labels));
  return found.length === 0 ? null : found.reduce((total, { value }) => total + value, 0);
}

/**
 * What came between two looks at a histogram took at most so long, for that part of it: told by the bound of the bucket it falls into, in which
 * it is taken to be spread evenly, as Prometheus does.
 *
 * @returns null when nothing came
 */
export function quantile(
  { before, now }: { readonly before: Samples; readonly now: Samples },
  histogram: string,
  part: number,
): number | null {
  const counts = (samples: Samples): Map<number, number> => {
    const sums = new Map<number, number>();
    for (const { name, labels, value } of samples) {
      if (name !== `${histogram}_bucket`) continue;
      const bound = labels['le'] === '+Inf' ? Infinity : Number(labels['le']);
      sums.set(bound, (sums.get(bound) ?? 0) + value);
    }
    return sums;
  };
  const earlier = counts(before);
  const buckets = [...counts(now)]
    .map(([bound, count]) => ({ bound, count: count - (earlier.get(bound) ?? 0) }))
    .sort((a, b) => a.bound - b.bound);
  const all = buckets.at(-1)?.count ?? 0;
  if (all <= 0) return null;
  const wanted = all * part;
  let below = { bound: 0, count: 0 };
  for (const bucket of buckets) {
    if (bucket.count >= wanted) {
      if (bucket.bound === Infinity) return below.bound;
      const within = (wanted - below.count) / Math.max(bucket.count - below.count, 1);
      return below.bound + (bucket.bound - below.bound) * within;
    }
    below = bucket;
  }
  return below.bound;
}
