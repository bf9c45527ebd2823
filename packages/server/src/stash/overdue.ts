import type { StashVersion } from 'waymark/stash';
import { aboutKey, type DueKind, dueRange } from './due.js';
import type { StoreParts } from './store.js';
import type { StoreFigures } from './store-figures.js';
import type { Writes } from './writes.js';

const pageLines = 500;
/** Of one key and its tombstone. */
const diskRecordBytesMax = 1_300;

/** What of a store is over: entries whose time to live ended, and tombstones that are old enough to go. */
export class Overdue {
  readonly #parts: StoreParts;
  readonly #writes: Writes;
  readonly #figures: StoreFigures;
  /** Behind the line that was looked at last. */
  #after: Buffer | null = null;
  #counted = { after: tombstones.start, count: 0 };

  constructor(parts: StoreParts, writes: Writes, figures: StoreFigures) {
    this.#parts = parts;
    this.#writes = writes;
    this.#figures = figures;
  }

  /** Makes tombstones of entries whose time is over, a page of them. @returns whether there are more */
  async reap(): Promise<boolean> {
    const { keys, clock } = this.#parts;
    const now = clock.wallNow();
    const lines = this.#lines('e', null);
    if (lines.length === 0) return false;
    const written = this.#writes.begin(lines.length * diskRecordBytesMax);
    const seen: Buffer[] = [];
    for (const line of lines) {
      keys.take(aboutKey(line));
      const current = this.#writes.stored();
      // On its way to the disk: its line is looked at again when it is there.
      if (this.#writes.under !== null) continue;
      seen.push(line);
      if (current === null || current.valueStart < 0 || current.isLive(now)) continue;
      written.bury(keys.bytes.readUInt16BE(0), current);
      this.#figures.reaped++;
    }
    if (seen.length > 0) await this.#remove(seen);
    return seen.length === pageLines;
  }

  /** Counts tombstones, some each time it is called: so it costs the same however many there are. A count that is whole is the figure of that name. */
  countTombstones(): void {
    const { after } = this.#counted;
    const range = { start: after, end: tombstones.end, exclusiveStart: true, limit: countedLines };
    let lines = 0;
    for (const { key } of this.#parts.tables.due.getRange(range)) {
      lines++;
      this.#counted.after = key;
    }
    this.#counted.count += lines;
    if (lines === countedLines) return;
    this.#figures.tombstones = this.#counted.count;
    this.#counted = { after: tombstones.start, count: 0 };
  }

  /**
   * Partitions with tombstones that are old enough to go, and for each the highest stamp of these. Looks at some pages, and goes on behind them the next time.
   *
   * @param max  partitions
   */
  async tombstones(max: number): Promise<Map<number, StashVersion['stamp']>> {
    const { keys } = this.#parts;
    const due = new Map<number, number>();
    for (let page = 0; page < pagesMax && due.size < max; page++) {
      const lines = this.#lines('t', this.#after);
      this.#after = lines.length < pageLines ? null : (lines.at(-1) ?? null);
      const stale: Buffer[] = [];
      for (const line of lines) {
        keys.take(aboutKey(line));
        const current = this.#writes.stored();
        if (current === null) {
          if (this.#writes.under === null) stale.push(line);
        } else if (current.valueStart >= 0) stale.push(line);
        else {
          const partition = keys.bytes.readUInt16BE(0);
          due.set(partition, Math.max(due.get(partition) ?? 0, current.stamp));
        }
      }
      if (stale.length > 0) await this.#remove(stale);
      if (this.#after === null) break;
      await new Promise<void>((resolve) => this.#parts.clock.nextTurn(resolve));
    }
    return due;
  }

  #lines(kind: DueKind, after: Buffer | null): Buffer[] {
    const { tables, clock } = this.#parts;
    const { start, end } = dueRange(kind, clock.wallNow());
    const range = { start: after ?? start, end, exclusiveStart: after !== null, limit: pageLines };
    return [...tables.due.getRange(range)].map(({ key }) => key);
  }

  async #remove(lines: readonly Buffer[]): Promise<void> {
    const { tables, commits } = this.#parts;
    const group = commits.gather();
    for (const line of lines) group.alongside.push(() => tables.due.remove(line));
    await group.done;
  }
}

const pagesMax = 40;
const countedLines = 1_000;
const tombstones = dueRange('t', Number.MAX_VALUE);
