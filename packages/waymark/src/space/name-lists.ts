import { WaymarkError } from '../core/errors.js';
import { mountainNames } from './mountains.js';

/** Names in an order that everybody agrees on: a claim takes the lowest free one. */
export type NameList = readonly string[];

/** What a list may be at most: `too_large` beyond it. */
export const nameLimits = {
  namesMax: 10_000,
  nameBytesMax: 128,
  /** All names of a list with one byte between two. */
  listBytesMax: 262_144,
} as const;

/** Lists that are there. */
export const lists = {
  /** The 99 highest mountains of North America by name, Denali first; three have a diacritic. */
  mountains: mountainNames,
  /** The same in ASCII: VolcanTacana for VolcánTacaná. */
  mountainsAscii: mountainNames.map(toAscii),
  /** @returns `web1` to `web100` for `prefixed('web', 100)`. @throws {WaymarkError} `invalid`, `too_large` */
  prefixed(prefix: string, count: number): NameList {
    if (!Number.isSafeInteger(count) || count < 1) {
      throw invalid(`a list has 1 or more names, not ${String(count)}`);
    }
    atMost('namesMax', count, 'names in a list');
    return Array.from({ length: count }, (_, i) => `${prefix}${i + 1}`);
  },
} as const;

/**
 * @returns the list as it is kept: one name a line
 * @throws {WaymarkError} `invalid` for what is no name and for a name that stands twice (`positions` tells where), `too_large`
 */
export function encodeList(names: NameList): string {
  if (!Array.isArray(names) || names.length === 0) throw invalid('a list has 1 or more names');
  atMost('namesMax', names.length, 'names in a list');
  const seen = new Map<string, number>();
  for (const [position, name] of names.entries()) {
    checkName(name);
    const before = seen.get(name);
    if (before !== undefined) throw twice(name, [before, position]);
    seen.set(name, position);
  }
  const text = textOf(names);
  atMost('listBytesMax', Buffer.byteLength(text), 'bytes of names');
  return text;
}

/** Of a list that was checked. */
export function textOf(names: NameList): string {
  return names.join('\n');
}

/** @throws {WaymarkError} as `encodeList` */
export function decodeList(text: string): NameList {
  const names = text.split('\n');
  encodeList(names);
  return names;
}

/** Each name once, where it stands first. */
export function withoutDuplicates(names: NameList): NameList {
  return [...new Set(names)];
}

function checkName(name: unknown): void {
  if (typeof name !== 'string' || name === '') throw invalid('a name is text, and not empty');
  // Nothing that splits lines, and nothing that is no text.
  if (/[\p{Cc}\p{Surrogate}]/u.test(name)) {
    throw invalid(`${JSON.stringify(name.slice(0, 40))}: a name holds no control characters`);
  }
  atMost('nameBytesMax', Buffer.byteLength(name), 'bytes of a name');
}

function twice(name: string, positions: readonly number[]): WaymarkError {
  const where = positions.join(' and ');
  const message = `'${name}' stands at positions ${where} (from 0): a list has each name once; dropDuplicates keeps the first`;
  return new WaymarkError('invalid', message, { positions });
}

function toAscii(name: string): string {
  return name.normalize('NFKD').replace(/[^\x20-\x7e]/g, '');
}

function atMost(limit: keyof typeof nameLimits, actual: number, what: string): void {
  const max = nameLimits[limit];
  if (actual <= max) return;
  const facts = { limit, max, actual };
  throw new WaymarkError('too_large', `${actual} ${what}: at most ${max} (${limit})`, facts);
}

function invalid(message: string): WaymarkError {
  return new WaymarkError('invalid', message);
}
