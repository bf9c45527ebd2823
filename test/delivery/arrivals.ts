import type { Received } from '@waymark/server/testing';
import { expect } from 'vitest';

/** An event as a place that changes are delivered to has kept it, in order of arrival. */
export type Arrival = Pick<
  Received,
  'sequence' | 'previous' | 'fence' | 'path' | 'watchers' | 'kind'
>;

export interface Judged {
  /** Events that never came: 0 where the place claims all. */
  readonly missing: number;
  /** Events that came again. */
  readonly repeats: number;
  /** Of these, told by one whose hold had ended: they were under way. */
  readonly late: number;
  /** Takers-over that were seen. */
  readonly fences: number;
}

export interface Expected {
  /** Of every event, in order. */
  readonly paths: readonly string[];
  /** The most events of one delivery: only so many can come again at a time. */
  readonly batch: number;
  /** Whether the place refuses repeats and lower fences itself. */
  readonly fences: boolean;
  /** Whether it may miss events: what comes is in order even so. */
  readonly lossy?: boolean | undefined;
  /** For messages. */
  readonly what: string;
}

/**
 * The promises of docs/spec/watchers.md, told from what arrived alone: nothing is missing (W3), what is new comes in order and follows what came before (W2), what comes again is of the last
 * delivery (W3.1), and no lower fence is accepted after a higher one where the place keeps fences (W1.5). Of a place that may miss events nothing is claimed but their order.
 */
export function judge(arrivals: readonly Arrival[], expected: Expected): Judged {
  const { what } = expected;
  const first: Arrival[] = [];
  const seen = new Set<string>();
  const fences = new Set<number>();
  const late = new Map<number, number>();
  let highest = '';
  let newest = 0;
  for (const arrival of arrivals) {
    const { sequence, previous, fence } = arrival;
    fences.add(fence);
    if (!seen.has(sequence)) {
      if (expected.lossy === true) {
        expect(sequence > highest, `${what}: ${sequence} comes after ${highest}`).toBe(true);
      } else {
        expect(previous, `${what}: ${sequence} follows what came before it`).toBe(highest);
      }
      seen.add(sequence);
      first.push(arrival);
      highest = sequence;
    } else if (expected.fences) {
      expect.fail(`${what}: ${sequence} had its effect twice`);
    } else if (fence < newest) {
      late.set(fence, (late.get(fence) ?? 0) + 1);
      expect(late.get(fence), `${what}: ${sequence} came late`).toBeLessThanOrEqual(expected.batch);
    } else {
      const behind = first.length - 1 - first.findIndex((one) => one.sequence === sequence);
      expect(behind, `${what}: ${sequence} came again`).toBeLessThan(expected.batch);
    }
    if (expected.fences) expect(fence, `${what}: a lower fence`).toBeGreaterThanOrEqual(newest);
    newest = Math.max(newest, fence);
  }
  const came = first.map(({ path }) => path);
  const known = new Set(came);
  const due = expected.paths.filter((path) => expected.lossy !== true || known.has(path));
  expect(came, what).toEqual(due);
  const missing = expected.paths.length - first.length;
  const repeats = arrivals.length - first.length;
  const lateOnes = [...late.values()].reduce((sum, count) => sum + count, 0);
  return { missing, repeats, late: lateOnes, fences: fences.size };
}
