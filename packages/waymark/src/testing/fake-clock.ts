import type { Clock } from '../core/clock.js';
import { assert } from '../core/errors.js';
import { systemClock } from '../core/system-clock.js';

interface Timer {
  readonly at: number;
  readonly task: () => void;
}

/** More chained turns than this within one `advance` is a loop that would never end. */
const turnsMax = 100_000;

/**
 * A clock that stands still until it is moved. Timers run inside `advance`, each at its own time, in the order in which
 * they are due (those of one moment in the order in which they were set). Turns of the event loop are real, so that an
 * engine which works in slices or groups its commits by turns goes on without being pushed; `advance` also runs
 * those that wait, so that what a timer started is done when it returns.
 */
export class FakeClock implements Clock {
  #now: number;
  #wall: number;
  /** Sorted by time; those of one time by when they were set. */
  readonly #timers: Timer[] = [];
  #turns: (() => void)[] = [];

  /** @param startMs  where the monotonic clock begins: its start is arbitrary, so tests begin at an odd place */
  constructor(startMs = 86_400_000.25, wallMs = 1_700_000_000_000) {
    this.#now = startMs;
    this.#wall = wallMs;
  }

  now(): number {
    return this.#now;
  }

  wallNow(): number {
    return this.#wall;
  }

  after(delayMs: number, task: () => void): () => void {
    const timer: Timer = { at: this.#now + Math.max(0, delayMs), task };
    let position = this.#timers.length;
    while (position > 0 && (this.#timers[position - 1] as Timer).at > timer.at) position--;
    this.#timers.splice(position, 0, timer);
    return () => {
      const found = this.#timers.indexOf(timer);
      if (found >= 0) this.#timers.splice(found, 1);
    };
  }

  nextTurn(task: () => void): void {
    this.#turns.push(task);
    if (this.#turns.length === 1) systemClock.nextTurn(() => this.#runTurn());
  }

  /** Moves both clocks on and runs what falls due. @param ms  0 or more */
  advance(ms: number): void {
    const end = this.#now + ms;
    this.#runTurns();
    for (
      let timer = this.#timers[0];
      timer !== undefined && timer.at <= end;
      timer = this.#timers[0]
    ) {
      this.#timers.shift();
      this.#moveTo(timer.at);
      timer.task();
      this.#runTurns();
    }
    this.#moveTo(end);
  }

  /** Steps the wall clock alone, as an operator or NTP does: nothing that is judged may notice. */
  stepWall(ms: number): void {
    this.#wall += ms;
  }

  /** How many timers are set: 0 after what owns them was closed. */
  get timers(): number {
    return this.#timers.length;
  }

  #moveTo(time: number): void {
    this.#wall += time - this.#now;
    this.#now = time;
  }

  #runTurns(): void {
    for (let turns = 0; this.#turns.length > 0; turns++) {
      assert(turns < turnsMax, 'turns of the event loop end');
      this.#runTurn();
    }
  }

  #runTurn(): void {
    const turns = this.#turns;
    this.#turns = [];
    for (const task of turns) task();
  }
}
