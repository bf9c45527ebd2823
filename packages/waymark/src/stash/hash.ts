import type { ByteString } from '../core/engine.js';

/**
 * 64-bit FNV-1a, finished by the mixer of MurmurHash3, in two halves of 32 bits: a BigInt costs some 50 times as much. FNV alone would do for equal shares of
 * random keys, but its topmost bits hardly depend on the last bytes of a key, which are those that count up; the mixer spreads each bit over all.
 *
 * FNV: http://www.isthe.com/chongo/tech/comp/fnv; the mixer is fmix64 of https://github.com/aappleby/smhasher.
 */

/** A 64-bit number: two unsigned halves. */
export interface Hash64 {
  readonly high: number;
  readonly low: number;
}

/** Keys of one index to partitions: the index's name is hashed once. */
export class KeyHash {
  readonly #high: number;
  readonly #low: number;

  /** @param index  in UTF-8 */
  constructor(index: ByteString) {
    this.#high = offsetHigh;
    this.#low = offsetLow;
    for (let i = 0; i <= index.length; i++) {
      const byte = i < index.length ? index.charCodeAt(i) : 0;
      const low = (this.#low ^ byte) >>> 0;
      this.#high = timesPrimeHigh(this.#high, low);
      this.#low = timesPrimeLow(low);
    }
  }

  partition(key: ByteString): number {
    let high = this.#high;
    let low = this.#low;
    for (let i = 0; i < key.length; i++) {
      low = (low ^ key.charCodeAt(i)) >>> 0;
      high = timesPrimeHigh(high, low);
      low = timesPrimeLow(low);
    }
    return mixedHigh(high, low) >>> partitionShift;
  }

  /** The same of a key that lies in a block of bytes. */
  partitionAt(block: Uint8Array, start: number, end: number): number {
    let high = this.#high;
    let low = this.#low;
    for (let i = start; i < end; i++) {
      low = (low ^ (block[i] as number)) >>> 0;
      high = timesPrimeHigh(high, low);
      low = timesPrimeLow(low);
    }
    return mixedHigh(high, low) >>> partitionShift;
  }
}

export const partitionCount = 4_096;
/** Of the upper half, to its topmost 12 bits. */
const partitionShift = 20;

/** The hash of some bytes, as vectors for other languages have it. */
export function hash64(bytes: ByteString): Hash64 {
  let high = offsetHigh;
  let low = offsetLow;
  for (let i = 0; i < bytes.length; i++) {
    low = (low ^ bytes.charCodeAt(i)) >>> 0;
    high = timesPrimeHigh(high, low);
    low = timesPrimeLow(low);
  }
  return mix64(high, low);
}

/** The finaliser alone. */
export function mix64(high: number, low: number): Hash64 {
  const mixed = mixedHigh(high, low);
  return { high: mixed >>> 0, low: mixedLow >>> 0 };
}

const offsetHigh = 0xcbf29ce4;
const offsetLow = 0x84222325;

// FNV's prime is 2^40 + 0x1b3. Products with 0x1b3 have at most 41 bits, so a double has them exactly.

function timesPrimeHigh(high: number, low: number): number {
  return (Math.imul(high, 0x1b3) + Math.trunc((low * 0x1b3) / 0x1_0000_0000) + (low << 8)) >>> 0;
}

function timesPrimeLow(low: number): number {
  return Math.imul(low, 0x1b3) >>> 0;
}

/** The lower half that goes with what `mixedHigh` returned: a pair would be an object for each key. */
let mixedLow = 0;

function mixedHigh(high: number, low: number): number {
  // h ^= h >>> 33; the upper half shifted by one is what reaches the lower.
  let lower = low ^ (high >>> 1);
  let upper = timesHigh(high, lower, 0xff51afd7, 0xed558ccd);
  lower = Math.imul(lower, 0xed558ccd);
  lower ^= upper >>> 1;
  upper = timesHigh(upper, lower, 0xc4ceb9fe, 0x1a85ec53);
  lower = Math.imul(lower, 0x1a85ec53);
  mixedLow = lower ^ (upper >>> 1);
  return upper;
}

/** The upper half of a product of 64 bits; the lower one is `Math.imul(low, byLow)`. */
function timesHigh(high: number, low: number, byHigh: number, byLow: number): number {
  const a = low >>> 16;
  const b = low & 0xffff;
  const c = byLow >>> 16;
  const d = byLow & 0xffff;
  // Schoolbook multiplication of the lower halves: what they carry into the upper one.
  const middle = Math.imul(a, d) >>> 0;
  const cross = (Math.imul(b, d) >>> 16) + (middle & 0xffff) + (Math.imul(b, c) & 0xffff);
  const carry = Math.imul(a, c) + (middle >>> 16) + (Math.imul(b, c) >>> 16) + (cross >>> 16);
  return (carry + Math.imul(high, byLow) + Math.imul(low, byHigh)) | 0;
}
