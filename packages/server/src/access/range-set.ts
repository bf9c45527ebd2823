import type { ByteString, KeyRange } from 'waymark/engine';

/** From a key up to another that is not in it; `to` empty: no end. */
interface Span {
  readonly from: ByteString;
  readonly to: ByteString;
}

/**
 * Keys in ranges, merged: what overlaps or touches is one, so that `a` to `m` and `m` to `z` together cover `b` to `y`. A range is covered
 * when all of it is, which its ends alone do not tell.
 */
export class RangeSet {
  readonly #given: readonly Span[];
  /** In order, apart from each other. */
  readonly #spans: readonly Span[];

  constructor(ranges: readonly KeyRange[]) {
    this.#given = ranges.map(spanOf).filter(({ from, to }) => to === '' || from < to);
    this.#spans = merged(this.#given);
  }

  /** What ends before it begins holds no key; as in etcd it is covered by a single range that reaches beyond both its ends. */
  covers(range: KeyRange): boolean {
    const { from, to } = spanOf(range);
    if (to !== '' && to <= from) {
      return this.#given.some((one) => one.from < to && (one.to === '' || one.to > from));
    }
    const span = this.#lastFrom(from);
    return span !== undefined && (span.to === '' || (to !== '' && to <= span.to));
  }

  /** The last span that begins at `key` or before. */
  #lastFrom(key: ByteString): Span | undefined {
    let [low, high] = [0, this.#spans.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#spans[middle] as Span).from <= key) low = middle + 1;
      else high = middle;
    }
    return this.#spans[low - 1];
  }
}

/** A key alone is a range as well: nothing stands between it and itself with a zero byte behind. */
function spanOf({ key, end }: KeyRange): Span {
  return { from: key, to: end ?? `${key}\0` };
}

function merged(spans: readonly Span[]): Span[] {
  const result: Span[] = [];
  for (const span of spans.toSorted((a, b) => (a.from < b.from ? -1 : 1))) {
    const last = result.at(-1);
    if (last === undefined || (last.to !== '' && last.to < span.from)) result.push(span);
    else result[result.length - 1] = { from: last.from, to: later(last.to, span.to) };
  }
  return result;
}

function later(a: ByteString, b: ByteString): ByteString {
  return a === '' || b === '' ? '' : a > b ? a : b;
}
