import type { OwnStream } from './stream.js';

/** A power of two; streams that are open at the same time seldom have ids so far apart. */
const slots = 256;

/**
 * The open streams of one connection by their ids. Each has a slot that its id tells, so that the many short ones are found without
 * hashing; one whose slot is taken, by a stream that lasts, is kept aside.
 */
export class OpenStreams {
  readonly #slots: (OwnStream | null)[] = [];
  readonly #aside = new Map<number, OwnStream>();
  size = 0;

  get(id: number): OwnStream | undefined {
    const stream = this.#slots[(id >>> 1) & (slots - 1)];
    if (stream !== undefined && stream !== null && stream.id === id) return stream;
    return this.#aside.size === 0 ? undefined : this.#aside.get(id);
  }

  add(stream: OwnStream): void {
    if (this.#slots.length === 0) for (let i = 0; i < slots; i++) this.#slots.push(null);
    const slot = (stream.id >>> 1) & (slots - 1);
    if (this.#slots[slot] === null) this.#slots[slot] = stream;
    else this.#aside.set(stream.id, stream);
    this.size++;
  }

  delete(stream: OwnStream): void {
    const slot = (stream.id >>> 1) & (slots - 1);
    if (this.#slots[slot] === stream) this.#slots[slot] = null;
    else this.#aside.delete(stream.id);
    this.size--;
  }

  /** All, in no order. */
  all(): OwnStream[] {
    const streams = [...this.#aside.values()];
    for (const stream of this.#slots) if (stream !== null) streams.push(stream);
    return streams;
  }
}
