import type { Batch } from './batch.js';
import { answerBytesMax } from './node.js';
import { isNewer, PackedCursor, Packer } from './packed.js';

/** Places of keys in a batch, ascending. */
export type Places = ArrayLike<number>;

export interface Answer {
  /** Who told: a position in the routes. */
  readonly link: number;
  readonly places: Places;
  /** Packed findings of the first of them, or of all. */
  readonly block: Uint8Array;
  /** Values came along. */
  readonly full: boolean;
}

export interface Taken {
  /** How many of the answer's places it had room for. */
  readonly answered: number;
  readonly damaged: readonly number[];
}

/**
 * What replicas told of the keys of a batch. It lies in arrays, at the place of the key; what was found stays in the block that it came in until
 * it is copied out.
 */
export class Told {
  /** Replicas that told of it. */
  readonly answers: Uint8Array;
  /** Who told of the newest version. */
  readonly newestAt: Uint16Array;
  /** Replicas told differently, or of damage. */
  uneven = false;
  readonly #batch: Batch;
  readonly #stamps: Float64Array;
  readonly #writers: Float64Array;
  /** Where the newest version lies with its value: in which answer, from where to where; −1: nowhere yet. */
  readonly #in: Int16Array;
  readonly #from: Int32Array;
  readonly #to: Int32Array;
  readonly #got: Answer[] = [];

  constructor(batch: Batch) {
    const { count } = batch;
    this.#batch = batch;
    this.answers = new Uint8Array(count);
    this.newestAt = new Uint16Array(count);
    this.#stamps = new Float64Array(count);
    this.#writers = new Float64Array(count);
    this.#in = new Int16Array(count).fill(-1);
    this.#from = new Int32Array(count);
    this.#to = new Int32Array(count);
  }

  /** Whether the value of the newest version is not here. */
  lacks(place: number): boolean {
    return (this.#in[place] as number) < 0;
  }

  take(answer: Answer): Taken {
    const { places, block, link, full } = answer;
    const position = this.#got.push(answer) - 1;
    const cursor = new PackedCursor(block);
    const damaged: number[] = [];
    for (let i = 0; i < places.length; i++) {
      if (cursor.done) return { answered: i, damaged };
      const place = places[i] as number;
      cursor.nextVersion();
      if (cursor.found === 'damaged') damaged.push(place);
      else if (this.#compare(place, cursor)) {
        this.newestAt[place] = link;
        if (full) this.#keep(place, position, cursor);
      }
    }
    if (damaged.length > 0) this.uneven = true;
    return { answered: places.length, damaged };
  }

  /** Packed findings of the keys up to `end`, or of fewer where they are too many bytes. */
  findings(end: number): Uint8Array {
    const whole = this.#oneAnswer(end);
    if (whole !== undefined) return whole;
    const blocks = this.#got.map(({ block }) => asBuffer(block));
    const packer = new Packer();
    for (let place = 0; place < end && packer.bytes < answerBytesMax; place++) {
      const block = blocks[this.#in[place] as number] as Buffer;
      packer.copy(block, this.#from[place] as number, this.#to[place] as number);
    }
    return packer.take();
  }

  /** What those lack who told of an older version, or of damage: packed entries by who it is. */
  repairs(end: number): Map<number, Uint8Array> {
    const packers = new Map<number, Packer>();
    for (const { link, places, block } of this.uneven ? this.#got : []) {
      const cursor = new PackedCursor(block);
      for (let i = 0; i < places.length && !cursor.done; i++) {
        cursor.nextVersion();
        const place = places[i] as number;
        if (place >= end || this.lacks(place) || !this.#isBehind(place, cursor)) continue;
        const packer = packers.get(link) ?? new Packer();
        packers.set(link, packer);
        this.#copyEntry(place, packer);
      }
    }
    return new Map([...packers].map(([link, packer]) => [link, packer.take()]));
  }

  /** @returns whether it is the newest, or as new */
  #compare(place: number, told: PackedCursor): boolean {
    const again = (this.answers[place] as number) > 0;
    this.answers[place] = (this.answers[place] as number) + 1;
    const { stamp, writer } = this.#newest(place);
    if (told.stamp === stamp && told.writer === writer) return true;
    this.uneven ||= again;
    if (!isNewer(told, { stamp, writer })) return false;
    this.#stamps[place] = told.stamp;
    this.#writers[place] = told.writer;
    this.#in[place] = -1;
    return true;
  }

  #keep(place: number, position: number, { start, end }: PackedCursor): void {
    this.#in[place] = position;
    this.#from[place] = start;
    this.#to[place] = end;
  }

  #newest(place: number): { readonly stamp: number; readonly writer: number } {
    return { stamp: this.#stamps[place] as number, writer: this.#writers[place] as number };
  }

  /** A replica that lacks a key which is deleted misses nothing. */
  #isBehind(place: number, told: PackedCursor): boolean {
    const { stamp, writer } = this.#newest(place);
    if (stamp === 0 || (told.stamp === stamp && told.writer === writer)) return false;
    if (told.found !== 'absent') return true;
    const { block } = this.#got[this.#in[place] as number] as Answer;
    const newest = new PackedCursor(
      block.subarray(this.#from[place] as number, this.#to[place] as number),
    );
    newest.nextVersion();
    return newest.valueStart >= 0;
  }

  #copyEntry(place: number, into: Packer): void {
    const { block, starts } = this.#batch;
    into.copy(block, starts[place] as number, starts[place + 1] as number);
    const answer = this.#got[this.#in[place] as number] as Answer;
    into.copy(asBuffer(answer.block), this.#from[place] as number, this.#to[place] as number);
  }

  /** The block of one node that told of all keys, in their order, and what holds. */
  #oneAnswer(end: number): Uint8Array | undefined {
    const first = this.#in[0] as number;
    if (end !== this.#batch.count || this.#got[first]?.places.length !== end) return undefined;
    for (let place = 1; place < end; place++) if (this.#in[place] !== first) return undefined;
    return this.#got[first].block;
  }
}

/**
 * What answers for the same keys say alike, as it is most of the time: the findings of the one that has values. Null where they differ, tell of damage or of fewer keys.
 */
export function agreed(answers: readonly Answer[], count: number): Uint8Array | null {
  const found = answers.find(({ full }) => full)?.block;
  if (found === undefined) return null;
  const cursor = new PackedCursor(found);
  const others = answers.filter(({ full }) => !full).map(({ block }) => new PackedCursor(block));
  for (let i = 0; i < count; i++) {
    if (cursor.done) return null;
    cursor.nextVersion();
    if (cursor.found === 'damaged') return null;
    for (const other of others) {
      if (other.done) return null;
      other.nextVersion();
      if (other.stamp !== cursor.stamp || other.writer !== cursor.writer) return null;
      if (other.found === 'damaged') return null;
    }
  }
  return found;
}

function asBuffer(bytes: Uint8Array): Buffer {
  if (Buffer.isBuffer(bytes)) return bytes;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
