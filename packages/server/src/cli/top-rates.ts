import type { Load, ServerStatus, Spread } from '../observe/server-status.js';

/** What a server did between two looks at it. */
export interface Rates {
  readonly seconds: number;
  readonly ready: boolean;
  readonly revision: number | null;
  readonly commits: Rate;
  readonly reads: Rate;
  readonly lockWaits: Rate;
  readonly lockWaiters: number;
  readonly watches: number;
  readonly connections: number;
  readonly watchers: ServerStatus['watchers'];
  /** Those that were asked, the busiest first; each a second. */
  readonly namespaces: readonly {
    readonly name: string;
    readonly reads: number;
    readonly writes: number;
    readonly calls: number;
  }[];
}

export interface Rate {
  readonly perSecond: number;
  /** Within so many ms half of them were answered, and all but one in a hundred; null where there were none. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

export function ratesOf(before: ServerStatus, after: ServerStatus, seconds: number): Rates {
  const [was, is] = [before.load, after.load];
  return {
    seconds,
    ready: after.ready.ok,
    revision: after.engine?.revision ?? null,
    commits: rateOf(was.commits, is.commits, seconds),
    reads: rateOf(was.reads, is.reads, seconds),
    lockWaits: rateOf(was.lockWaits, is.lockWaits, seconds),
    lockWaiters: is.lockWaiters,
    watches: is.watches,
    connections: after.connections.all,
    watchers: after.watchers,
    namespaces: busiest(was, is, seconds),
  };
}

function busiest(was: Load, is: Load, seconds: number): Rates['namespaces'] {
  const before = new Map(was.namespaces.map((one) => [one.name, one]));
  const each = is.namespaces.map(({ name, reads, writes, calls }) => {
    const then = before.get(name) ?? { reads: 0, writes: 0, calls: 0 };
    const per = (now: number, earlier: number): number => rounded((now - earlier) / seconds);
    return {
      name,
      reads: per(reads, then.reads),
      writes: per(writes, then.writes),
      calls: per(calls, then.calls),
    };
  });
  const sum = (one: (typeof each)[number]): number => one.reads + one.writes + one.calls;
  return each.filter((one) => sum(one) > 0).sort((a, b) => sum(b) - sum(a));
}

function rateOf(was: Spread, is: Spread, seconds: number): Rate {
  const counts = is.counts.map((count, i) => count - (was.counts[i] ?? 0));
  const count = is.count - was.count;
  return {
    perSecond: rounded(count / seconds),
    p50Ms: within(is.boundsMs, counts, count * 0.5),
    p99Ms: within(is.boundsMs, counts, count * 0.99),
  };
}

/** The bound within which so many were. Beyond the last it is that: the figure is a floor then. */
function within(
  bounds: readonly number[],
  counts: readonly number[],
  wanted: number,
): number | null {
  if (wanted <= 0) return null;
  let sum = 0;
  for (const [i, count] of counts.entries()) {
    sum += count;
    if (sum >= wanted) return bounds[i] ?? null;
  }
  return bounds.at(-1) ?? null;
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}
