import type { Clock, Random } from '../core/clock.js';
import type { ByteString } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import { limits } from '../core/limits.js';
import { isCut, Pipe, type PipeEnd, type Pulled, type Pushed } from './pipe.js';

/**
 * A stream, at the host of the member it goes to: a pipe in each direction. Both ends reach it by calls alone, the sender's through the
 * host of the sender, so it works over every transport. An end that has not called for `lingerMs` is gone, and the other is told.
 */

/** `sender` writes the parts and reads the replies, `member` the other way round. */
export const sides = ['sender', 'member'] as const;
export type Side = (typeof sides)[number];

/** An end that has not called for so long is gone: time for a connection to be made anew. */
export const lingerMs = 5_000;
/** A call waits at most so long, so that an end which is there has called lately. */
export const waitMsMax = 2_000;

export class Channel {
  readonly #clock: Clock;
  readonly #gone: () => void;
  readonly #pipes: Readonly<Record<Side, Pipe>> = { sender: new Pipe(), member: new Pipe() };
  /** When each end that is still there called last. */
  readonly #calledAt = new Map<Side, number>();
  #until: number;
  #disarm: () => void = () => {};

  constructor(clock: Clock, deadlineMs: number, gone: () => void) {
    this.#clock = clock;
    this.#gone = gone;
    const now = clock.now();
    this.#until = now + deadlineMs;
    for (const side of sides) this.#calledAt.set(side, now);
    this.#arm();
  }

  /** Parts, and at last the end, that `side` writes. */
  async push(
    side: Side,
    told: {
      readonly first: number;
      readonly parts: readonly ByteString[];
      readonly end: PipeEnd | null;
    },
    signal: AbortSignal | undefined,
  ): Promise<Pushed> {
    this.#called(side);
    const { first, parts, end } = told;
    if (end !== null && isCut(end)) {
      this.#leave(side, end);
      return { next: first, ended: true, cut: end };
    }
    const wait = { clock: this.#clock, ms: waitMsMax, signal };
    const pushed = await this.#pipes[side].push(first, parts, end, wait);
    this.#called(side);
    // Its handler is done, or is told that it need not go on: whatever else the sender has is for nobody.
    if (side === 'member' && pushed.ended) {
      this.#pipes.sender.cut({ how: 'lost', why: 'its handler is done' });
      this.#remove(side);
    }
    return pushed;
  }

  /** What the other end has written. */
  async pull(
    side: Side,
    told: { readonly done: number; readonly from: number; readonly waitMs: number },
    signal: AbortSignal | undefined,
  ): Promise<Pulled> {
    this.#called(side);
    const { done, from, waitMs } = told;
    const pipe = this.#pipes[side === 'sender' ? 'member' : 'sender'];
    const wait = { clock: this.#clock, ms: Math.min(waitMs, waitMsMax), signal };
    const pulled = await pipe.pull(done, from, wait);
    this.#called(side);
    const knows = pulled.end !== null && isCut(pulled.end);
    if (knows || (side === 'sender' && pipe.isReadTo(from))) this.#remove(side);
    return pulled;
  }

  #called(side: Side): void {
    if (this.#calledAt.has(side)) this.#calledAt.set(side, this.#clock.now());
  }

  /** One end gives the whole stream up, or is gone. */
  #leave(side: Side, end: PipeEnd): void {
    this.#cut(end);
    this.#remove(side);
  }

  #cut(end: PipeEnd): void {
    for (const side of sides) this.#pipes[side].cut(end);
  }

  /** Once both ends are gone the channel is. */
  #remove(side: Side): void {
    if (!this.#calledAt.delete(side) || this.#calledAt.size > 0) return;
    this.#disarm();
    this.#gone();
  }

  #arm(): void {
    const next = Math.min(this.#until, ...[...this.#calledAt.values()].map((at) => at + lingerMs));
    this.#disarm = this.#clock.after(next - this.#clock.now(), () => this.#check());
  }

  #check(): void {
    const now = this.#clock.now();
    if (now >= this.#until) {
      this.#until = Infinity;
      this.#cut({ how: 'timeout', why: 'the deadline of the stream has passed' });
    }
    for (const [side, at] of this.#calledAt) {
      if (now - at >= lingerMs) this.#leave(side, { how: 'lost', why: `its ${side} is gone` });
    }
    if (this.#calledAt.size > 0) this.#arm();
  }
}

/** The streams to the members that take their messages at this host. */
export class Channels {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #channels = new Map<string, Channel>();
  readonly #counts = new Map<string, number>();

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** @returns its id, which nobody can guess. @throws {WaymarkError} `overloaded` */
  open(member: string, deadlineMs: number): string {
    const count = this.#counts.get(member) ?? 0;
    const { streamsMax: max } = limits;
    if (count >= max) {
      const facts = { limit: 'streamsMax', max, actual: count + 1 };
      throw new WaymarkError('overloaded', `it has ${count} streams open: at most ${max}`, facts);
    }
    const id = this.#random.id();
    this.#counts.set(member, count + 1);
    const gone = (): void => {
      this.#channels.delete(id);
      const left = (this.#counts.get(member) ?? 1) - 1;
      if (left > 0) this.#counts.set(member, left);
      else this.#counts.delete(member);
    };
    this.#channels.set(id, new Channel(this.#clock, deadlineMs, gone));
    return id;
  }

  get(id: string): Channel | undefined {
    return this.#channels.get(id);
  }
}
