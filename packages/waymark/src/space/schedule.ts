import { decodeSettled, settleDue } from '../recipes/schedule.js';
import { scheduleElection } from '../recipes/election.js';
import { validateTtl } from '../core/validate.js';
import { Candidacy } from './candidacy.js';
import { type DueTimes, dueTimes } from './due-times.js';
import type { HeldTerm } from './election.js';
import { scheduleKey } from './layout.js';
import type { HostNamespace } from './namespace.js';
import type { DueRun, Schedule, ScheduleCall, When } from './once-types.js';
import { pathToBytes } from './paths.js';
import { pause } from '../core/pause.js';
import { encodeWhen } from './schedule-look.js';

/** A wall clock that is set is noticed within so long. */
const lookMsMax = 30_000;

export type Job = (run: DueRun) => unknown;

/**
 * One process's part in a schedule: it stands for leader in the background, and while it leads it settles each due time before it runs
 * the job. Due times are of the wall clock; who leads is judged by the monotonic one.
 */
export class HostSchedule implements Schedule {
  readonly path: string;
  lastError: unknown;
  readonly #namespace: HostNamespace<unknown>;
  readonly #due: DueTimes;
  readonly #job: Job;
  readonly #call: ScheduleCall;
  readonly #candidacy: Candidacy;

  constructor(
    namespace: HostNamespace<unknown>,
    path: string,
    when: When,
    { job, call }: { readonly job: Job; readonly call: ScheduleCall },
  ) {
    this.path = path;
    this.#namespace = namespace;
    this.#due = dueTimes(when);
    this.#job = job;
    this.#call = call;
    const { ttlMs, owner, signal } = call;
    if (ttlMs !== undefined) validateTtl(ttlMs);
    namespace.space.checkOpen();
    this.#candidacy = new Candidacy({
      namespace,
      path,
      kind: scheduleElection,
      ttlMs,
      owner,
      // For those who look: schedule-look.ts.
      says: encodeWhen(when),
      lead: (term, over) => this.#lead(term, over),
    });
    const end = (): void => this.#candidacy.end();
    signal?.addEventListener('abort', end, { once: true });
    if (signal?.aborted === true) end();
    const forget = (): void => signal?.removeEventListener('abort', end);
    this.#candidacy.done.then(forget, forget);
  }

  get closed(): Promise<void> {
    return this.#candidacy.done;
  }

  isLeader(): boolean {
    return this.#candidacy.term !== null;
  }

  async stop(): Promise<void> {
    this.#candidacy.end();
    await this.closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #lead(term: HeldTerm<unknown>, signal: AbortSignal): Promise<void> {
    const { clock } = this.#namespace.space;
    let settled =
      (await this.#settled(signal)) ?? (await this.#settle(term, clock.wallNow(), false));
    for (let awaited = 0; !signal.aborted;) {
      const now = clock.wallNow();
      const at = this.#due.newest(settled, now);
      if (at === null) {
        awaited = this.#due.next(Math.max(settled, now));
        await pause(clock, Math.min(awaited - now, lookMsMax), signal, true).catch(() => undefined);
        continue;
      }
      const run = at === awaited || this.#call.missed !== 'skip';
      settled = await this.#settle(term, at, run);
      const remainingMs = (): number => term.remainingMs();
      if (run) await this.#run({ at, term: term.token, signal, remainingMs });
    }
  }

  async #run(run: DueRun): Promise<void> {
    try {
      await this.#job(run);
    } catch (error) {
      this.lastError = error;
      this.#call.onError?.(error, run);
    }
  }

  /** Up to where the leaders before came; null for a schedule that nobody has led yet. */
  async #settled(signal: AbortSignal): Promise<number | null> {
    const { host, name } = this.#namespace;
    const { entries } = await host.read(name, { key: this.#key }, { signal });
    return entries[0] === undefined ? null : decodeSettled(entries[0]).at;
  }

  /** @returns the time given, as a whole one. @throws {WaymarkError} `lost` */
  async #settle(term: HeldTerm<unknown>, time: number, run: boolean): Promise<number> {
    const { host, name } = this.#namespace;
    const { path } = this;
    const at = Math.floor(time);
    await host.run(settleDue, name, { id: term.id, path, term: term.token, at, run });
    return at;
  }

  get #key(): string {
    return scheduleKey(pathToBytes(this.path));
  }
}
