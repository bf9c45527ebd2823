/**
 * A small registry that speaks the Prometheus text format, version 0.0.4. Names and labels are in
 * docs/reference/metrics.md. Label values come from closed sets (routes, methods, codes), never from clients.
 */

export type Labels = Readonly<Record<string, string>>;

export interface Counter {
  add(labels?: Labels, by?: number): void;
  /** One series of it, for those who count often. It has a sample from now on. */
  of(labels: Labels): CountedSeries;
}

export interface CountedSeries {
  value: number;
}

export interface Histogram {
  observe(labels: Labels, value: number): void;
  /** One series of it, for those who observe often. It has samples from now on. */
  of(labels: Labels): ObservedSeries;
}

export interface ObservedSeries {
  readonly bounds: readonly number[];
  /** How many were within each bound and above the one before. */
  readonly counts: readonly number[];
  readonly sum: number;
  readonly count: number;
  observe(value: number): void;
  /** One more of the value observed last. */
  again(): void;
}

interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  lines(): Iterable<string> | Promise<Iterable<string>>;
}

/** Seconds: from an answer over the network to one that waits. */
export const secondsBuckets = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10,
];

export class Metrics {
  readonly #families: Family[] = [];

  counter(name: string, help: string): Counter {
    const values = new LabelledCounter(name, help);
    this.#register(values);
    return values;
  }

  /** @param read  asked at each scrape; null when it is not known: then there is no sample */
  gauge(name: string, help: string, read: Read): void {
    this.#register({ name, help, type: 'gauge', lines: sampleOf(name, read) });
  }

  /** A gauge of several series. @param read  asked at each scrape */
  gauges(name: string, help: string, read: ReadSeries): void {
    this.#register({ name, help, type: 'gauge', lines: samplesOf(name, read) });
  }

  /** A counter of several series that something else keeps. */
  totals(name: string, help: string, read: ReadSeries): void {
    this.#register({ name, help, type: 'counter', lines: samplesOf(name, read) });
  }

  /** A counter that something else keeps. @param read  as for a gauge */
  total(name: string, help: string, read: Read): void {
    this.#register({ name, help, type: 'counter', lines: sampleOf(name, read) });
  }

  histogram(name: string, help: string, buckets: readonly number[] = secondsBuckets): Histogram {
    const histogram = new BucketHistogram(name, help, buckets);
    this.#register(histogram);
    return histogram;
  }

  /** Every name that there may be samples of. */
  get names(): readonly string[] {
    return this.#families.map(({ name }) => name);
  }

  async print(): Promise<string> {
    const lines: string[] = [];
    for (const family of this.#families) {
      const samples = [...(await family.lines())];
      lines.push(
        `# HELP ${family.name} ${escapeHelp(family.help)}`,
        `# TYPE ${family.name} ${family.type}`,
      );
      lines.push(...samples);
    }
    return `${lines.join('\n')}\n`;
  }

  #register(family: Family): void {
    if (this.#families.some((known) => known.name === family.name)) {
      throw new TypeError(`metric ${family.name} is registered twice`);
    }
    this.#families.push(family);
  }
}

type Read = () => number | null | Promise<number | null>;
type Series = Iterable<readonly [Labels, number]>;
type ReadSeries = () => Series | Promise<Series>;

function samplesOf(name: string, read: ReadSeries): () => Promise<string[]> {
  return async () =>
    [...(await read())].map(([labels, value]) => `${name}${braced(labelText(labels))} ${value}`);
}

function sampleOf(name: string, read: Read): () => Promise<string[]> {
  return async () => {
    const value = await read();
    return value === null ? [] : [`${name} ${value}`];
  };
}

class LabelledCounter implements Family, Counter {
  readonly name: string;
  readonly help: string;
  readonly type = 'counter';
  readonly #values = new Map<string, CountedSeries>();

  constructor(name: string, help: string) {
    this.name = name;
    this.help = help;
  }

  add(labels: Labels = none, by = 1): void {
    this.of(labels).value += by;
  }

  of(labels: Labels): CountedSeries {
    const key = labelText(labels);
    let series = this.#values.get(key);
    if (series === undefined) this.#values.set(key, (series = { value: 0 }));
    return series;
  }

  *lines(): Iterable<string> {
    for (const [labels, { value }] of this.#values) yield `${this.name}${braced(labels)} ${value}`;
  }
}

/** Buckets are found by a walk from the lowest: what is observed most often is quick. */
class Buckets implements ObservedSeries {
  readonly bounds: readonly number[];
  readonly counts: number[];
  sum = 0;
  count = 0;
  #last = 0;
  #lastAt = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = bounds.map(() => 0);
  }

  observe(value: number): void {
    const { bounds, counts } = this;
    let at = 0;
    while (at < bounds.length && value > (bounds[at] as number)) at++;
    this.#last = value;
    this.#lastAt = at;
    if (at < bounds.length) counts[at] = (counts[at] as number) + 1;
    this.sum += value;
    this.count++;
  }

  again(): void {
    const { counts } = this;
    const at = this.#lastAt;
    if (at < counts.length) counts[at] = (counts[at] as number) + 1;
    this.sum += this.#last;
    this.count++;
  }
}

class BucketHistogram implements Family, Histogram {
  readonly name: string;
  readonly help: string;
  readonly type = 'histogram';
  readonly #bounds: readonly number[];
  readonly #series = new Map<string, Buckets>();

  constructor(name: string, help: string, bounds: readonly number[]) {
    this.name = name;
    this.help = help;
    this.#bounds = bounds;
  }

  observe(labels: Labels, value: number): void {
    this.of(labels).observe(value);
  }

  of(labels: Labels): ObservedSeries {
    const key = labelText(labels);
    let series = this.#series.get(key);
    if (series === undefined) this.#series.set(key, (series = new Buckets(this.#bounds)));
    return series;
  }

  *lines(): Iterable<string> {
    for (const [labels, { counts, sum, count }] of this.#series) {
      const comma = labels === '' ? '' : `${labels},`;
      let below = 0;
      for (const [i, bound] of this.#bounds.entries()) {
        below += counts[i] ?? 0;
        yield `${this.name}_bucket{${comma}le="${bound}"} ${below}`;
      }
      yield `${this.name}_bucket{${comma}le="+Inf"} ${count}`;
      yield `${this.name}_sum${braced(labels)} ${sum}`;
      yield `${this.name}_count${braced(labels)} ${count}`;
    }
  }
}

/** Of labels that are used again and again: who counts often keeps the object. */
const labelTexts = new WeakMap<Labels, string>();
const none: Labels = {};

function labelText(labels: Labels): string {
  const known = labelTexts.get(labels);
  if (known !== undefined) return known;
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  const text = pairs.join(',');
  labelTexts.set(labels, text);
  return text;
}

function braced(labels: string): string {
  return labels === '' ? '' : `{${labels}}`;
}

function escapeLabel(value: string): string {
  if (!/[\\\n"]/.test(value)) return value;
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}
