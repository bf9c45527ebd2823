import { bytesToText } from '../core/bytes.js';
import type { Clock } from '../core/clock.js';
import type { ByteString } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import type { PipeEnd } from '../recipes/pipe.js';
import type { Brought } from './messenger.js';
import { cutError, type StreamEnd, wordsOf } from './stream-end.js';
import type * as types from './stream-types.js';

export interface OutgoingParts<B, R> {
  readonly clock: Clock;
  readonly parts: AsyncIterable<B> | Iterable<B>;
  readonly deadlineMs: number;
  readonly signal: AbortSignal | undefined;
  /** Brings the opening to whom the stream is for; the answer is the channel. */
  readonly open: (signal: AbortSignal) => Promise<Brought>;
  /** The end of that channel. */
  readonly connect: (member: string, channel: string) => StreamEnd;
  readonly encode: (part: B) => ByteString;
  readonly decode: (bytes: ByteString) => R;
}

/** A stream at its sender: parts go out as they are taken, and replies come in as they are read. */
export class OutgoingStream<B, R> implements types.SentStream<R> {
  readonly outcome: Promise<types.StreamOutcome>;
  readonly #parts: OutgoingParts<B, R>;
  /** Ends the opening. */
  readonly #given = new AbortController();
  /** Null when it was not taken. */
  readonly #end: Promise<StreamEnd | null>;
  #resolveEnd: (end: StreamEnd | null) => void = () => {};
  #opened: StreamEnd | null = null;
  /** What iterating throws in the end, whatever the outcome is: it is of this side. */
  #failure: { readonly error: unknown } | null = null;
  #cut: PipeEnd | null = null;
  #left = false;

  constructor(parts: OutgoingParts<B, R>) {
    this.#parts = parts;
    this.#end = new Promise((resolve) => (this.#resolveEnd = resolve));
    this.outcome = this.#run();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<R>> {
    const end = await this.#end;
    if (this.#left) return { value: undefined, done: true };
    const read = end === null ? null : await end.read();
    if (this.#left) return { value: undefined, done: true };
    if (typeof read === 'string') return { value: this.#decode(read), done: false };
    const outcome = await this.outcome;
    if (this.#left) return { value: undefined, done: true };
    this.#left = true;
    if (this.#failure !== null) throw this.#failure.error;
    if (outcome.outcome === 'delivered') return { value: undefined, done: true };
    const { why } = outcome;
    throw new WaymarkError(outcome.outcome === 'refused' ? 'failed' : 'uncertain', why);
  }

  /** Gives the stream up, unless it is over. */
  async return(): Promise<IteratorResult<R>> {
    this.#left = true;
    this.cut({ how: 'lost', why: 'its sender reads no more of it' }, undefined);
    return { value: undefined, done: true };
  }

  /** @param error  what iterating it throws */
  cut(end: PipeEnd, error: unknown): void {
    if (this.#cut !== null) return;
    this.#cut = end;
    if (error !== undefined) this.#failure ??= { error };
    // The opening has the same deadline, and knows better what became of it.
    if (end.how !== 'timeout') this.#given.abort(error);
    this.#opened?.cut(end);
  }

  async #run(): Promise<types.StreamOutcome> {
    const { clock, deadlineMs, signal } = this.#parts;
    const late = (): void => {
      const why = `the stream did not end within ${deadlineMs} ms`;
      this.cut({ how: 'timeout', why }, new WaymarkError('timeout', why));
    };
    const abort = (): void => {
      this.cut({ how: 'lost', why: 'its sender gave it up' }, signal?.reason);
    };
    const disarm = clock.after(deadlineMs, late);
    signal?.addEventListener('abort', abort, { once: true });
    if (signal?.aborted === true) abort();
    try {
      if (this.#cut !== null) return nobody('refused', 'it was given up before it was sent');
      return await this.#open();
    } catch (error) {
      if (this.#cut !== null) return nobody('unknown', this.#cut.why);
      this.#failure = { error };
      return nobody('refused', wordsOf(error));
    } finally {
      disarm();
      signal?.removeEventListener('abort', abort);
      this.#cut ??= { how: 'done', why: '' };
      this.#resolveEnd(this.#opened);
    }
  }

  async #open(): Promise<types.StreamOutcome> {
    const { open, connect } = this.#parts;
    const { member, delivery } = await open(this.#given.signal);
    const { outcome, seen, why, body } = delivery;
    if (member === null || outcome === 'refused') return { outcome: 'refused', member, seen, why };
    if (outcome === 'unknown') return { outcome, member, seen, why };
    const end = connect(member, bytesToText(body));
    this.#opened = end;
    if (this.#cut !== null) end.cut(this.#cut);
    this.#resolveEnd(end);
    void this.#pump(end);
    const ended = await end.ended;
    if (ended.how === 'done') return { outcome: 'delivered', member };
    // Its host may be the first to see the deadline pass.
    if (ended.how === 'timeout') this.#failure ??= { error: cutError(ended) };
    const told = ended.how === 'failed' ? 'refused' : 'unknown';
    return { outcome: told, member, seen: true, why: ended.why };
  }

  /** Never rejects: what the parts throw ends the stream, and is thrown to who iterates it. */
  async #pump(end: StreamEnd): Promise<void> {
    const { parts, encode } = this.#parts;
    let iterator: Iterator<B> | AsyncIterator<B> | null = null;
    const leave = async (): Promise<void> => {
      const left = iterator;
      iterator = null;
      await left?.return?.();
    };
    // Also while the next is awaited: nobody wants it any more.
    void end.ended.then(leave).catch(() => undefined);
    let told: PipeEnd = { how: 'done', why: '' };
    try {
      iterator =
        Symbol.asyncIterator in parts ? parts[Symbol.asyncIterator]() : parts[Symbol.iterator]();
      while (iterator !== null) {
        const step = await iterator.next();
        if (step.done === true) iterator = null;
        else if (!(await end.write(encode(step.value)))) break;
      }
    } catch (error) {
      if (!end.isOver) this.#failure ??= { error };
      told = { how: 'failed', why: wordsOf(error) };
    }
    await leave().catch(() => undefined);
    await end.finish(told);
  }

  #decode(bytes: ByteString): R {
    try {
      return this.#parts.decode(bytes);
    } catch (error) {
      this.cut({ how: 'lost', why: 'its sender cannot read a reply' }, error);
      throw error;
    }
  }
}

function nobody(outcome: 'refused' | 'unknown', why: string): types.StreamOutcome {
  return { outcome, member: null, seen: outcome === 'unknown', why };
}
