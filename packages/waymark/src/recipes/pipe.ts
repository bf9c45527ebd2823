import { Bell, type BellWait } from '../core/bell.js';
import type { ByteString } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import { limits } from '../core/limits.js';

/**
 * How one direction of a stream ends. `done` and `failed` stand behind its last part. `lost` and `timeout` end the whole stream at
 * once, and what waits in it is dropped.
 */
export const pipeEnds = ['done', 'failed', 'lost', 'timeout'] as const;

export interface PipeEnd {
  readonly how: (typeof pipeEnds)[number];
  /** For people; empty when it is done. */
  readonly why: string;
}

export function isCut({ how }: PipeEnd): boolean {
  return how === 'lost' || how === 'timeout';
}

/** What a push came to. */
export interface Pushed {
  /** The number of the next part it takes: from there on they are to be pushed again. */
  readonly next: number;
  /** It has its end, and takes no more. */
  readonly ended: boolean;
  /** Why nobody reads it any more; null as long as somebody may. */
  readonly cut: PipeEnd | null;
}

export interface Pulled {
  readonly parts: readonly ByteString[];
  /** Null as long as more may follow. */
  readonly end: PipeEnd | null;
}

/**
 * One direction of a stream, at the host: a bounded queue. Its parts are numbered from 0, and are kept until who reads has said that it
 * is done with them; so a call that is repeated after a lost answer neither loses nor repeats any. The bound is back-pressure: what is
 * not read is not taken.
 */
export class Pipe {
  #parts: ByteString[] = [];
  #bytes = 0;
  /** The number of the first that is kept. */
  #first = 0;
  #end: PipeEnd | null = null;
  #pushes = 0;
  readonly #bell = new Bell();

  /** Waits for room. Another push meanwhile, which repeats it, ends the wait. @throws {WaymarkError} `invalid` when parts are left out */
  async push(
    first: number,
    parts: readonly ByteString[],
    end: PipeEnd | null,
    wait: BellWait,
  ): Promise<Pushed> {
    const push = ++this.#pushes;
    this.#bell.ring();
    const settled = (): boolean =>
      parts.length === 0 || this.#hasRoom || this.#end !== null || push !== this.#pushes;
    await this.#bell.until(settled, wait);
    const room = parts.length === 0 || this.#hasRoom;
    if (room && this.#end === null && push === this.#pushes) this.#add(first, parts, end);
    return {
      next: this.#next,
      ended: this.#end !== null,
      cut: this.#isCut ? this.#end : null,
    };
  }

  /**
   * Waits for parts from number `from` on, or for the end.
   *
   * @param done  parts before this number are not asked for again
   * @param from  one more than there are parts says that the end is known: then only a cut is news
   */
  async pull(done: number, from: number, wait: BellWait): Promise<Pulled> {
    this.#drop(Math.min(done, this.#next) - this.#first);
    const news = (): boolean =>
      this.#isCut || this.#next > from || (this.#end !== null && from === this.#next);
    await this.#bell.until(news, wait);
    const parts = from < this.#first ? [] : this.#parts.slice(from - this.#first);
    return { parts, end: this.#end };
  }

  /** Whether who reads has all of it, and knows. */
  isReadTo(from: number): boolean {
    return this.#end !== null && from > this.#next;
  }

  /** Ends it at once. The first cut stays. */
  cut(end: PipeEnd): void {
    if (this.#isCut) return;
    this.#end = end;
    this.#first = this.#next;
    this.#parts = [];
    this.#bytes = 0;
    this.#bell.ring();
  }

  get #next(): number {
    return this.#first + this.#parts.length;
  }

  get #hasRoom(): boolean {
    return this.#parts.length < limits.streamPartsMax && this.#bytes < limits.streamBytesMax;
  }

  get #isCut(): boolean {
    return this.#end !== null && isCut(this.#end);
  }

  #add(first: number, parts: readonly ByteString[], end: PipeEnd | null): void {
    if (first > this.#next) {
      throw new WaymarkError('invalid', `part ${this.#next} of the stream is missing`);
    }
    for (const part of parts.slice(this.#next - first)) {
      this.#parts.push(part);
      this.#bytes += part.length;
    }
    this.#end = end;
    this.#bell.ring();
  }

  #drop(count: number): void {
    if (count <= 0) return;
    for (const part of this.#parts.splice(0, count)) this.#bytes -= part.length;
    this.#first += count;
    this.#bell.ring();
  }
}
