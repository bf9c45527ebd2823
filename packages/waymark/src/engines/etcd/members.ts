import type { Clock, Random } from '../../core/clock.js';
import { pause } from '../../core/pause.js';

/** One that is well and yet was silent is passed over for so long. */
const slowMs = 5_000;
/** One that failed is looked at after so long, and again and again. */
const againMs = [100, 200, 400, 500] as const;

/** `leaderless`: it answers, and is cut off from the majority, or that is choosing. */
export type Health = 'well' | 'leaderless' | 'away';

export interface Judged {
  readonly address: string;
  /** As it was seen last. */
  health: Health;
  /** By the clock: it failed, or was silent, and is passed over until then while others are there. */
  passedOverUntil: number;
  close(): void;
}

export interface MembersOptions<M extends Judged> {
  readonly clock: Clock;
  readonly random: Random;
  readonly connect: (address: string) => M;
  /** Asks a member how it is. Never rejects. */
  readonly look: (member: M) => Promise<Health>;
}

/** The members of a cluster: one is spoken to until it fails, then the next; and one that failed again once it is well. */
export class Members<M extends Judged> {
  readonly #options: MembersOptions<M>;
  readonly #closing = new AbortController();
  #all: readonly M[];
  #current: number;

  constructor(addresses: readonly string[], options: MembersOptions<M>) {
    this.#options = options;
    this.#all = addresses.map(options.connect);
    this.#current = Math.floor(options.random.next() * this.#all.length);
  }

  get count(): number {
    return this.#all.length;
  }

  get isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** Who is spoken to. With none that is well one that only lacks a leader: it takes what comes, and does it once it has one. */
  pick(): M {
    const now = this.#options.clock.now();
    const index =
      this.#next(0, ({ passedOverUntil }) => passedOverUntil <= now) ??
      this.#next(1, ({ health }) => health === 'leaderless') ??
      this.#next(1, () => true);
    this.#current = index as number;
    return this.#all[this.#current] as M;
  }

  /** It failed: it is passed over until it is well. */
  failed(member: M): void {
    if (member.passedOverUntil === Infinity || this.count === 1 || this.isClosed) return;
    member.passedOverUntil = Infinity;
    void this.#untilWell(member).catch(() => undefined);
    this.#lookAtOthers(member);
  }

  /** It is silent: it is passed over for a while, and until it is well if it is not. @returns whether it is well */
  async silent(member: M): Promise<boolean> {
    const until = this.#options.clock.now() + slowMs;
    member.passedOverUntil = Math.max(member.passedOverUntil, until);
    this.#lookAtOthers(member);
    return await this.#look(member);
  }

  /** They changed: from now on these are spoken to, the first of them first. */
  set(addresses: readonly string[]): void {
    if (this.isClosed) return;
    const before = this.#all;
    const { connect } = this.#options;
    this.#all = addresses.map(
      (address) => before.find((known) => known.address === address) ?? connect(address),
    );
    this.#current = 0;
    // Calls under way on them go on.
    for (const gone of before) if (!this.#all.includes(gone)) gone.close();
  }

  close(): void {
    this.#closing.abort();
    for (const member of this.#all) member.close();
  }

  #next(from: number, fits: (member: M) => boolean): number | undefined {
    for (let step = from; step < from + this.count; step++) {
      const index = (this.#current + step) % this.count;
      if (fits(this.#all[index] as M)) return index;
    }
    return undefined;
  }

  /** Whoever comes next may be gone as well: that is seen before a call finds out. */
  #lookAtOthers(member: M): void {
    for (const other of this.#all)
      if (other !== member && other.passedOverUntil !== Infinity) void this.#look(other);
  }

  async #look(member: M): Promise<boolean> {
    member.health = await this.#options.look(member);
    if (member.health !== 'well') this.failed(member);
    return member.health === 'well';
  }

  /** @throws the signal's reason when closed meanwhile */
  async #untilWell(member: M): Promise<void> {
    const { clock } = this.#options;
    for (let attempt = 0; ; attempt++) {
      const waitMs = againMs[Math.min(attempt, againMs.length - 1)] as number;
      await pause(clock, waitMs, this.#closing.signal);
      if (!this.#all.includes(member)) return;
      if (await this.#look(member)) break;
    }
    member.passedOverUntil = 0;
  }
}
