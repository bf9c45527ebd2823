import { type Clock, pause } from 'waymark/engine';
import { Tenure, type TenureParts } from './tenure.js';

const againMs = 1_000;

/**
 * Delivers what registered watches match, for as long as it is not closed. Several run at once over one engine, in as many processes, and share the endpoints out. One whose lease ended
 * begins anew.
 */
export class Processor {
  readonly #parts: TenureParts;
  readonly #closing = new AbortController();
  readonly #run: Promise<void>;
  #tenure: Tenure | null = null;
  #needed = 0;

  private constructor(parts: TenureParts) {
    this.#parts = parts;
    this.#run = this.#go(parts.clock);
  }

  static start(parts: TenureParts): Processor {
    return new Processor(parts);
  }

  /** Null between tenures. */
  get tenure(): Tenure | null {
    return this.#tenure;
  }

  /** What came after this revision is still to be told: for `history.needed` of an engine. */
  get needed(): number {
    this.#needed = this.#tenure?.needed ?? this.#needed;
    return this.#needed;
  }

  /** Tries under way may end, within 5 s; what it held is taken by others at once. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#tenure?.close();
    await this.#run;
  }

  async #go(clock: Clock): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        this.#tenure = await Tenure.begin(this.#parts, signal);
        if (signal.aborted) this.#tenure.close();
        await this.#tenure.run();
      } catch (error) {
        if (signal.aborted) return;
        this.#parts.failed('the processor of watchers', error);
      }
      this.#tenure = null;
      await pause(clock, againMs, signal).catch(() => undefined);
    }
  }
}
