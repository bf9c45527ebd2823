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

  find(bytes: Uint8Array, start: number, end: number, generation: number): FieldBlock | null {
    if (end - start > blockBytesMax) return null;
    const known = this.#known[slotOf(bytes, start, end)];
    if (known === undefined || known.generation !== generation) return null;
    const same = known.bytes;
    if (same.length !== end - start) return null;
    for (let i = 0; i < same.length; i++) if (same[i] !== bytes[start + i]) return null;
    return known.block;
  }

  add(bytes: Uint8Array, start: number, end: number, generation: number, block: FieldBlock): void {
    if (end - start > blockBytesMax) return;
    if (this.#known.length === 0) for (let i = 0; i < slots; i++) this.#known.push(undefined);
    const copy = Uint8Array.prototype.slice.call(bytes, start, end);
    this.#known[slotOf(bytes, start, end)] = { bytes: copy, generation, block };
  }
}

/** FNV-1a. */
function slotOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
  return (hash ^ (hash >>> 15)) & (slots - 1);
}
