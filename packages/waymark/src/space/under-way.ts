import type { Clock } from '../core/clock.js';

/** What was answered within this allows one block more; where something took longer than that, half as many are sent from then on. */
const quickMs = 500;
const slowMs = 1_000;
const blocksMin = 4;
const readBytesMax = 4_194_304;
const writeBytesMax = 16_777_216;

/** Blocks that nodes were quick with, the last time: kept from batch to batch. */
export interface Pace {
  blocks: number;
  /** When they were last found slow: of what was sent before nothing more is to be learnt. */
  slowAt: number;
}

/**
 * How much of one batch waits for its answers. A node commits together what it has, and keys are spread over all its pages: the more there is of a batch, the fewer times the same pages are changed and flushed. But
 * where disks are slow, what waits behind others is answered late, or is given up. So it grows while answers are quick, as TCP's window does (slow start, Jacobson 1988).
 */
export class UnderWay {
  readonly #clock: Clock;
  readonly #pace: Pace;
  readonly #blocksMax: number;
  readonly #bytesMax: number;
  #blocks = 0;
  #bytes = 0;

  private constructor(clock: Clock, pace: Pace, most: { blocks: number; bytes: number }) {
    this.#clock = clock;
    this.#pace = pace;
    this.#blocksMax = most.blocks;
    this.#bytesMax = most.bytes;
  }

  static newPace(): Pace {
    return { blocks: 4 * blocksMin, slowAt: -Infinity };
  }

  /** An answer has about 1 MiB at most, and with more of them a coordinator of three nodes gets no further. */
  static ofReads(clock: Clock): UnderWay {
    const blocks = 2 * blocksMin;
    return new UnderWay(clock, { blocks, slowAt: -Infinity }, { blocks, bytes: readBytesMax });
  }

  static ofWrites(clock: Clock, pace: Pace): UnderWay {
    return new UnderWay(clock, pace, { blocks: 128, bytes: writeBytesMax });
  }

  /** No more is to be sent before the first of it was taken. */
  get full(): boolean {
    return this.#fullWith(this.#blocks, this.#bytes);
  }

  /** It is full with this one. */
  fills(blockBytes: number): boolean {
    return this.#fullWith(this.#blocks + 1, this.#bytes + blockBytes);
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
    const pace = this.#pace;
    if (tookMs <= quickMs) pace.blocks = Math.min(pace.blocks + 1, this.#blocksMax);
    else if (tookMs > slowMs && since >= pace.slowAt) {
      pace.blocks = Math.max(pace.blocks >> 1, blocksMin);
      pace.slowAt = this.#clock.now();
    }
  }

  #fullWith(blocks: number, bytes: number): boolean {
    return blocks >= this.#pace.blocks || bytes >= this.#bytesMax;
  }
}
