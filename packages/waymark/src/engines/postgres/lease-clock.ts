import type { Clock, Random } from '../../core/clock.js';
import type { Database } from './database.js';
import { settleTimeline } from './timelines.js';

/**
 * The clock by which leases end: a row that one process, the reaper, moves on by the time its own monotonic clock has seen pass. A renewal
 * notes where the row stands. No wall clock is asked, neither the database's nor anybody's.
 *
 * It may stand still or be slow, which lets leases live longer, but is never fast: only who is named in the row moves it, by what passed
 * since its last move and at most `stepMsMax`, so that whoever was stopped or cut off adds nothing for that. A renewal that read the row
 * just before a step is as much too early by that step, and not by more: `slackMs` makes up for it. Who takes over from a reaper that is
 * gone sets a floor: every lease then has its whole time again.
 */
const stepMsMax = 300;
const tickMs = 150;
/** While there is no lease the row is only moved so often that others see the reaper live. */
const idleTickMs = 300;
const beatMs = 1_000;
/** A lease that is granted after a look ends no earlier than so long after it. */
const lookMs = 1_000;
/** Who is not the reaper looks so often, and takes over from one that has not moved the row for so long. */
const watchMs = 700;
const goneMs = 2_500;
/** Leases that end in one transaction. */
const endingMax = 100;

export interface LeaseClockOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly random: Random;
  /** Told when leases ended. */
  readonly ended: () => void;
  /** The moment for work that one process is to do: called by the reaper, often. */
  readonly reaping: () => void;
  /** And that for all others. */
  readonly waiting: () => void;
}

export class LeaseClock {
  readonly #options: LeaseClockOptions;
  /** A name for each time it takes the row, so that a move of before that comes late is none. */
  #me: string;
  /** When the row was last moved on; null while another does it. */
  #movedAt: number | null = null;
  /** Where the row stands, and at which milliseconds of it the leases are to be looked at. */
  #ms = 0;
  #lookAt = 0;
  #idle = false;
  #beatAt = 0;
  /** The row of another reaper as it was last seen to move. */
  #seen: { readonly row: string; readonly at: number } | null = null;
  #wake: () => void = () => {};
  #closed = false;
  readonly #done: Promise<void>;

  constructor(options: LeaseClockOptions) {
    this.#options = options;
    this.#me = options.random.id();
    this.#done = this.#run();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#wake();
    await this.#done;
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      let waitMs = watchMs;
      try {
        waitMs = this.#movedAt === null ? await this.#watch() : await this.#tick(this.#movedAt);
      } catch {
        // The database may have lost what it was told: it begins anew.
        this.#movedAt = null;
      }
      await this.#pause(waitMs);
    }
    if (this.#movedAt !== null) await this.#resign().catch(() => {});
  }

  #pause(delayMs: number): Promise<void> {
    if (this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(delayMs, resolve);
      this.#wake = () => (cancel(), resolve());
    });
  }

  /** Looks whether the reaper lives. @returns how long to wait, ms */
  async #watch(): Promise<number> {
    const { database, clock, random, waiting } = this.#options;
    waiting();
    const [row] = await database.read(`select reaper, beat from ${database.s}.clock`, [], {});
    const [reaper, beat] = row as [string | null, number];
    const state = `${beat} ${reaper ?? ''}`;
    const now = clock.now();
    if (this.#seen?.row !== state) this.#seen = { row: state, at: now };
    const free = reaper === null || reaper === this.#me;
    if (!free && now - this.#seen.at < goneMs) return watchMs;
    this.#me = random.id();
    const taken = await database.read(
      `update ${database.s}.clock set reaper = $1, beat = beat + 1, floor_ms = ms
       where beat = $2 and reaper is not distinct from $3 returning ms`,
      [this.#me, beat, reaper],
      {},
    );
    if (taken.length === 0) return watchMs;
    await settleTimeline(database);
    this.#movedAt = clock.now();
    this.#lookAt = 0;
    this.#idle = false;
    return 0;
  }

  /** Moves the clock on, and ends the leases whose time is up. @returns how long to wait, ms */
  async #tick(movedAt: number): Promise<number> {
    const { database, clock, reaping } = this.#options;
    const { s } = database;
    reaping();
    const now = clock.now();
    if (this.#idle && now - this.#beatAt < beatMs && !(await this.#leased())) {
      this.#movedAt = now;
      return idleTickMs;
    }
    const elapsed = Math.min(stepMsMax, Math.floor(now - movedAt));
    const look = this.#ms + elapsed >= this.#lookAt;
    const values = [this.#me, elapsed, look];
    const [row] = await database.read(`select * from ${s}.tick($1, $2, $3)`, values, {});
    if (row === undefined) {
      this.#movedAt = null;
      return watchMs;
    }
    const [ms, due] = row as [number, number | null];
    // A fraction of a millisecond that was not counted is counted by the next step.
    this.#movedAt = elapsed === stepMsMax ? now : movedAt + elapsed;
    this.#beatAt = now;
    this.#ms = ms;
    if (!look) return tickMs;
    this.#idle = due === null;
    this.#lookAt = due === null ? ms : Math.min(due, ms + lookMs);
    if (due !== null && due <= ms) await this.#expire();
    return this.#idle ? idleTickMs : tickMs;
  }

  async #leased(): Promise<boolean> {
    const { database } = this.#options;
    const text = `select exists (select from ${database.s}.lease)`;
    const [row] = await database.read(text, [], {});
    return row?.[0] === true;
  }

  async #expire(): Promise<void> {
    const { database, ended } = this.#options;
    for (;;) {
      const text = `select ${database.s}.expire($1)`;
      const [row] = await database.read(text, [endingMax], {});
      const count = row?.[0] as number;
      if (count > 0) ended();
      if (count < endingMax) return;
    }
  }

  /** Another may begin at once. */
  async #resign(): Promise<void> {
    const { database } = this.#options;
    const text = `update ${database.s}.clock set reaper = null where reaper = $1`;
    await database.read(text, [this.#me], {});
  }
}
