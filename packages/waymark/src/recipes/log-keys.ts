import type { ByteString, Entry, KeyRange } from '../core/engine.js';
import { bytesToText, textToBytes } from '../core/bytes.js';
import { pathToBytes } from '../space/paths.js';

/**
 * Where a log stands:
 *
 *   l/audit NUL h                        its head: the next position, the first that is kept, what it retains
 *   l/audit NUL 16 digits, 15 digits, id an entry: position, time and request id; the value is author NUL value
 *   l/audit NUL r id                     the position and time of the entry with that request id
 *
 * What retention and repeats ask of an entry stands in its key, so they read no values.
 */

const positionDigits = 16;
const timeDigits = 15;

export interface LogHead {
  /** The position the next entry gets: 1 for the first of all. */
  readonly next: number;
  /** The oldest position that is kept; `next` when none is. */
  readonly first: number;
  readonly entries?: number | undefined;
  readonly ageMs?: number | undefined;
}

export const emptyHead: LogHead = { next: 1, first: 1 };

/** What an entry's key tells. */
export interface EntryFacts {
  readonly position: number;
  readonly at: number;
  readonly id: string;
}

export class LogKeys {
  readonly head: ByteString;
  readonly #stem: ByteString;

  constructor(path: string) {
    this.#stem = `l${pathToBytes(path)}\0`;
    this.head = `${this.#stem}h`;
  }

  entry({ position, at, id }: EntryFacts): ByteString {
    return this.#from(position) + String(at).padStart(timeDigits, '0') + id;
  }

  request(id: string): ByteString {
    return `${this.#stem}r${id}`;
  }

  /** The entries at `from` and after it, up to `to`, which is left out. */
  entries(from: number, to?: number): Required<KeyRange> {
    return { key: this.#from(from), end: to === undefined ? `${this.#stem}:` : this.#from(to) };
  }

  facts(key: ByteString): EntryFacts {
    const text = key.slice(this.#stem.length);
    return {
      position: Number(text.slice(0, positionDigits)),
      at: Number(text.slice(positionDigits, positionDigits + timeDigits)),
      id: text.slice(positionDigits + timeDigits),
    };
  }

  #from(position: number): ByteString {
    return this.#stem + String(position).padStart(positionDigits, '0');
  }
}

export function encodeHead(head: LogHead): ByteString {
  return JSON.stringify(head);
}

export function decodeHead(entry: Entry | undefined): LogHead {
  return entry === undefined ? emptyHead : (JSON.parse(entry.value) as LogHead);
}

/** @param author  without NUL */
export function encodeEntry(author: string, value: ByteString): ByteString {
  return `${textToBytes(author)}\0${value}`;
}

export function decodeEntry(value: ByteString): {
  readonly author: string;
  readonly value: string;
} {
  const nul = value.indexOf('\0');
  return { author: bytesToText(value.slice(0, nul)), value: value.slice(nul + 1) };
}
