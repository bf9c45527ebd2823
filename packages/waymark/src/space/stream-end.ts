import { Bell } from '../core/bell.js';
import type { Clock } from '../core/clock.js';
import type { ByteString } from '../core/engine.js';
import { isWaymarkError, WaymarkError } from '../core/errors.js';
import type { Host } from '../core/host.js';
import { limits } from '../core/limits.js';
import type { RecipeCall } from '../core/recipe-call.js';
import { lingerMs, type Side, waitMsMax } from '../recipes/channel.js';
import { isCut, type PipeEnd } from '../recipes/pipe.js';
import * as calls from '../recipes/streams.js';
import { pause } from '../core/pause.js';

export interface StreamEndParts {
  /** Where the member takes its messages, or who finds that. */
  readonly host: Pick<Host, 'run'>;
  readonly clock: Clock;
  readonly namespace: string;
  readonly group: string;
  /** To whom the stream goes. */
  readonly member: string;
  readonly channel: string;
  readonly side: Side;
}

/** Parts that leave together; so many are gathered while others are under way. */
const batchPartsMax = 64;
const batchBytesMax = 262_144;
/** After its host was out of reach, or had too much to do. */
const againMs = 50;

/**
 * One end of a stream, where the members are: writes in one direction, reads in the other, and calls often enough to be known to be there. What
 * cannot be brought for `lingerMs` is lost.
 */
export class StreamEnd {
  /** Aborts when the stream is cut off, by either end or between them. */
  readonly cutOff: AbortSignal;
  /** How the other end's direction ended. */
  readonly ended: Promise<PipeEnd>;
  readonly #parts: StreamEndParts;
  readonly #cutting = new AbortController();
  /** Ends the calls under way. */
  readonly #over = new AbortController();
  readonly #bell = new Bell();
  #resolveEnded: (end: PipeEnd) => void = () => {};
  #out: ByteString[] = [];
  #outBytes = 0;
  /** The number of the first that was not taken yet. */
  #outFirst = 0;
  #outEnd: PipeEnd | null = null;
  #outOver = false;
  #in: ByteString[] = [];
  #inBytes = 0;
  /** How many have come. */
  #inNext = 0;
  #inEnd: PipeEnd | null = null;

  constructor(parts: StreamEndParts) {
    this.#parts = parts;
    this.cutOff = this.#cutting.signal;
    this.ended = new Promise((resolve) => (this.#resolveEnded = resolve));
    void this.#push();
    void this.#pull();
  }

  /** Resolves when there is room for the next. @returns false when nobody reads them any more */
  async write(part: ByteString): Promise<boolean> {
    if (this.#outOver) return false;
    this.#out.push(part);
    this.#outBytes += part.length;
    this.#bell.ring();
    await this.#bell.until(() => this.#outOver || this.#gathers);
    return !this.#outOver;
  }

  /** Ends the direction that is written, behind its last part. Resolves when that is told, or nobody is there to be told. */
  async finish(end: PipeEnd): Promise<void> {
    this.#outEnd ??= end;
    this.#bell.ring();
    await this.#bell.until(() => this.#outOver);
    if (this.#parts.side === 'member') this.#over.abort();
  }

  /** Resolves with what comes next, and in the end with how it ended. */
  async read(): Promise<ByteString | PipeEnd> {
    await this.#bell.until(() => this.#in.length > 0 || this.#inEnd !== null);
    const part = this.#in.shift();
    if (part === undefined) return this.#inEnd as PipeEnd;
    this.#inBytes -= part.length;
    this.#bell.ring();
    return part;
  }

  /** Gives the whole stream up, at once. */
  cut(end: PipeEnd): void {
    if (this.#over.signal.aborted) return;
    this.#cut(end);
    // Who cannot be told finds that nobody calls any more.
    const { host, namespace } = this.#parts;
    const args = { ...this.#place, first: this.#outFirst, parts: [], end };
    const late = new AbortController();
    const disarm = this.#parts.clock.after(lingerMs, () => late.abort());
    host.run(calls.push, namespace, args, late).then(disarm, disarm);
  }

  /** Nothing more is written or comes. */
  get isOver(): boolean {
    return this.#over.signal.aborted;
  }

  get #gathers(): boolean {
    return this.#out.length < batchPartsMax && this.#outBytes < batchBytesMax;
  }

  /** Less waits here than the host keeps at most: so it has room for more, and no answer waits for what is read meanwhile. */
  get #wants(): boolean {
    return this.#in.length < batchPartsMax && this.#inBytes < batchBytesMax;
  }

  get #place() {
    const { group, member, channel, side } = this.#parts;
    return { group, member, channel, side, relayed: false };
  }

  async #push(): Promise<void> {
    const some = (): boolean => this.#out.length > 0 || this.#outEnd !== null;
    for (;;) {
      await this.#bell.until(() => this.#outOver || some());
      // What is at hand leaves together. And where all of a stream is in one process it would run on promises alone, and let no timer run.
      await new Promise<void>((resolve) => this.#parts.clock.nextTurn(resolve));
      if (this.#outOver) return;
      const parts = this.#batch();
      const end = parts.length === this.#out.length ? this.#outEnd : null;
      const told = { first: this.#outFirst, parts, end };
      const pushed = await this.#ask(calls.push, { ...this.#place, ...told });
      if (pushed === null) return;
      const { next, ended, cut } = pushed;
      this.#taken(next - this.#outFirst);
      // To the sender it says that the handler is done: how, is told where it reads.
      if (cut !== null && this.#parts.side === 'member' && this.#outEnd === null) this.#cut(cut);
      this.#outOver ||= cut !== null || (end !== null && ended);
      this.#bell.ring();
    }
  }

  /** What leaves with the next push. */
  #batch(): readonly ByteString[] {
    let bytes = 0;
    const count = this.#out.findIndex((part, at) => {
      bytes += part.length;
      return at > 0 && (at >= batchPartsMax || bytes > limits.streamBytesMax);
    });
    return count < 0 ? [...this.#out] : this.#out.slice(0, count);
  }

  #taken(count: number): void {
    for (const part of this.#out.splice(0, Math.max(0, count))) {
      this.#outBytes -= part.length;
      this.#outFirst++;
    }
  }

  async #pull(): Promise<void> {
    const { clock, side } = this.#parts;
    const { signal } = this.#over;
    while (!signal.aborted) {
      // Who reads slowly asks for no more; a call now and then says that somebody is here.
      await this.#bell.until(() => this.#wants, { clock, ms: waitMsMax, signal });
      const done = this.#inNext - this.#in.length;
      const from = this.#inEnd === null ? this.#inNext : this.#inNext + 1;
      const told = { done, from, waitMs: this.#wants ? waitMsMax : 0 };
      const pulled = await this.#ask(calls.pull, { ...this.#place, ...told });
      if (pulled === null) return;
      if (pulled.end !== null && isCut(pulled.end)) {
        // Once the handler is done its host cuts what the sender still writes.
        if (side === 'sender' || this.#outEnd === null) this.#cut(pulled.end);
        return;
      }
      if (this.#inEnd !== null) continue;
      this.#in.push(...pulled.parts);
      for (const { length } of pulled.parts) this.#inBytes += length;
      this.#inNext += pulled.parts.length;
      if (pulled.end !== null) this.#end(pulled.end);
      this.#bell.ring();
      if (pulled.end !== null && side === 'sender') return this.#leave();
    }
  }

  /** All has come: the host need keep nothing, and nobody reads what is still written. */
  #leave(): void {
    const { host, namespace } = this.#parts;
    this.#outOver = true;
    this.#over.abort();
    this.#bell.ring();
    const from = this.#inNext + 1;
    host
      .run(calls.pull, namespace, { ...this.#place, done: from, from, waitMs: 0 })
      .catch(() => undefined);
  }

  #end(end: PipeEnd): void {
    this.#inEnd = end;
    this.#resolveEnded(end);
  }

  #cut(end: PipeEnd): void {
    if (this.#over.signal.aborted) return;
    this.#in = [];
    this.#inBytes = 0;
    this.#out = [];
    this.#outOver = true;
    this.#end(end);
    this.#over.abort();
    this.#cutting.abort(cutError(end));
    this.#bell.ring();
  }

  /** @returns null when it is over */
  async #ask<Args, Result>(call: RecipeCall<Args, Result>, args: Args): Promise<Result | null> {
    const { host, clock, namespace } = this.#parts;
    const until = clock.now() + lingerMs;
    for (;;) {
      if (this.#over.signal.aborted) return null;
      const late = new AbortController();
      const why = new WaymarkError('unavailable', 'its host does not answer');
      const disarm = clock.after(until - clock.now(), () => late.abort(why));
      const over = (): void => late.abort(this.#over.signal.reason);
      this.#over.signal.addEventListener('abort', over, { once: true });
      try {
        return await host.run(call, namespace, args, late);
      } catch (error) {
        if (this.#over.signal.aborted) return null;
        if (!mayPass(error) || clock.now() + againMs >= until) {
          this.#cut({ how: 'lost', why: wordsOf(error) });
          return null;
        }
      } finally {
        disarm();
        this.#over.signal.removeEventListener('abort', over);
      }
      await pause(clock, againMs, this.#over.signal).catch(() => undefined);
    }
  }
}

/** What reading a stream throws that ended so. */
export function cutError({ how, why }: PipeEnd): WaymarkError {
  return new WaymarkError(how === 'done' ? 'lost' : how, why);
}

/** Of what the other side is told about an error. */
const whyMax = 1_000;

export function wordsOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, whyMax);
}

function mayPass(error: unknown): boolean {
  return (
    isWaymarkError(error, 'unavailable') ||
    isWaymarkError(error, 'uncertain') ||
    isWaymarkError(error, 'overloaded')
  );
}
