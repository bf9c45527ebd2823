import type { StashMove } from 'waymark';
import { systemClock } from 'waymark/engine';
import type { GlobalOptions } from './context.js';

const barChars = 20;

/** How far a move of data is, on one line. */
export function shownMove(move: StashMove): string {
  const { phase, paused, partitions, of, entries, leftMs } = move;
  const state = paused ? 'paused' : phase;
  const waits = shownWaits(move);
  // Nothing is to be brought over, or nobody has told yet how much.
  if (of === 0) return `${state}${waits}`;
  const bar = '#'.repeat(Math.floor((partitions / of) * barChars)).padEnd(barChars, '.');
  const left = leftMs === null || paused ? '' : `, ${Math.ceil(leftMs / 1_000)} s left`;
  return `${state} [${bar}] ${partitions} of ${of} partitions, ${entries} entries${left}${waits}`;
}

function shownWaits({ waitingFor, blockedBy }: StashMove): string {
  if (blockedBy.length > 0) {
    const ids = blockedBy.join(' ');
    return `; cannot end without ${blockedBy.join(', ')}, away: start them, or, if they never come back, \`waymark stash remove ${ids} --accept-loss\``;
  }
  return waitingFor.length === 0 ? '' : `; waits for ${waitingFor.join(', ')}`;
}

const everyMs = 1_000;

/** Says on standard error how far something is, once a second: on a terminal in one line, which is written over. */
export class ProgressLine {
  readonly #options: GlobalOptions;
  #toldAt = Number.NEGATIVE_INFINITY;
  #written = false;

  constructor(options: GlobalOptions) {
    this.#options = options;
  }

  tell(text: string, json: object): void {
    const now = systemClock.now();
    if (now - this.#toldAt < everyMs) return;
    this.#toldAt = now;
    const { isTTY } = process.stderr;
    if (this.#options.json) process.stderr.write(`${JSON.stringify({ progress: json })}\n`);
    else if (isTTY) process.stderr.write(`\r\u001b[K${text}`);
    else process.stderr.write(`${text}\n`);
    this.#written ||= isTTY && !this.#options.json;
  }

  /** What is written next begins a line. */
  end(): void {
    if (this.#written) process.stderr.write('\n');
    this.#written = false;
  }
}
