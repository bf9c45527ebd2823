import type { Clock } from '../core/clock.js';

/** What was answered within this allows one block more; what took longer than that, half as many. */
const quickMs = 500;
const slowMs = 1_000;
const blocksMin = 4;
const bytesMax = 4_194_304;

/**
 * How much of one batch waits for its answers. A node commits together what it has, and keys are spread over all its pages: the more there is of a batch, the fewer times the same pages are changed and flushed. But
 * where disks are slow, what waits behind others is answered late, or is given up. So it grows while answers are quick, as TCP's window does (slow start, Jacobson 1988).
 */
export class UnderWay {
  readonly #clock: Clock;
  readonly #blocksMax: number;
  #blocksNow: number;
  #blocks = 0;
  #bytes = 0;

  private constructor(clock: Clock, blocks: number, blocksMax: number) {
    this.#clock = clock;
    this.#blocksNow = blocks;
    this.#blocksMax = blocksMax;
  }

  /** An answer has about 1 MiB at most, and with more of them a coordinator of three nodes gets no further. */
  static ofReads(clock: Clock): UnderWay {
    return new UnderWay(clock, 2 * blocksMin, 2 * blocksMin);
  }

  static ofWrites(clock: Clock): UnderWay {
    return new UnderWay(clock, 2 * blocksMin, 64);
  }

  /** No more is to be sent before the first of it was taken. */
  get full(): boolean {
    return this.#blocks >= this.#blocksNow || this.#bytes >= bytesMax;
  }

  sent(blockBytes: number): void {
    this.#blocks++;
    this.#bytes += blockBytes;
  }

  /** Its answer was handed on. */
  taken(blockBytes: number): void {
    this.#blocks--;
    this.#bytes -= blockBytes;
  }

  /** Looks how long an answer takes. */
  async watch(answer: Promise<unknown>): Promise<void> {
    const since = this.#clock.now();
    await answer;
    const tookMs = this.#clock.now() - since;
    if (tookMs <= quickMs) this.#blocksNow = Math.min(this.#blocksNow + 1, this.#blocksMax);
    else if (tookMs > slowMs) this.#blocksNow = Math.max(this.#blocksNow >> 1, blocksMin);
  }
}
