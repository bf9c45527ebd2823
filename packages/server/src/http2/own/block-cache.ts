import type { FieldBlock } from './field-block.js';

const slots = 64;
/** A longer block is rare, and seldom comes again. */
const blockBytesMax = 256;

interface Known {
  readonly bytes: Uint8Array;
  readonly generation: number;
  readonly block: FieldBlock;
}

/** Blocks of one connection by their bytes; each takes the place of whichever had the same hash before. */
export class BlockCache {
  readonly #known: (Known | undefined)[] = [];
  /** The one found last is looked at first: it needs no hash. */
  #last: Known | undefined;

  find(bytes: Uint8Array, start: number, end: number, generation: number): FieldBlock | null {
    if (this.#last !== undefined && isOf(this.#last, bytes, start, end, generation))
      return this.#last.block;
    if (end - start > blockBytesMax) return null;
    const known = this.#known[slotOf(bytes, start, end)];
    if (known === undefined || !isOf(known, bytes, start, end, generation)) return null;
    this.#last = known;
    return known.block;
  }

  add(bytes: Uint8Array, start: number, end: number, generation: number, block: FieldBlock): void {
    if (end - start > blockBytesMax) return;
    if (this.#known.length === 0) for (let i = 0; i < slots; i++) this.#known.push(undefined);
    const copy = Uint8Array.prototype.slice.call(bytes, start, end);
    this.#known[slotOf(bytes, start, end)] = { bytes: copy, generation, block };
  }
}

function isOf(
  known: Known,
  bytes: Uint8Array,
  start: number,
  end: number,
  generation: number,
): boolean {
  const same = known.bytes;
  if (known.generation !== generation || same.length !== end - start) return false;
  for (let i = 0; i < same.length; i++) if (same[i] !== bytes[start + i]) return false;
  return true;
}

/** FNV-1a. */
function slotOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
  return (hash ^ (hash >>> 15)) & (slots - 1);
}
