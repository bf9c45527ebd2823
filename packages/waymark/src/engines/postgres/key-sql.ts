import type { ByteString, KeyRange } from '../../core/engine.js';
import { limits } from '../../core/limits.js';
import { toBuffer } from './values.js';

/**
 * A B-tree of PostgreSQL takes some 2 700 bytes of a key, and a key may have 4 096. So what is indexed is the head of a key, and each
 * condition says of the head what it says of the key: they agree in all but what lies beyond the head.
 */
const headBytes = 2_000;

export function headOf(key: string): string {
  return `substring(${key} from 1 for ${headBytes})`;
}

/** What with the head makes a key unique, and is nothing for nearly all. */
export function tailOf(key: string): string {
  return `(case when length(${key}) > ${headBytes} then sha256(substring(${key} from ${headBytes + 1})) else ''::bytea end)`;
}

export function equalKeys(a: string, b: string): string {
  return `${headOf(a)} = ${headOf(b)} and ${a} = ${b}`;
}

export function keyInRange(key: string, start: string, end: string): string {
  return `${headOf(key)} >= ${headOf(start)} and ${headOf(key)} <= ${headOf(end)} and ${key} >= ${start} and ${key} < ${end}`;
}

export function byKey(key: string, direction = ''): string {
  return `${headOf(key)} ${direction}, ${key} ${direction}`;
}

/** Above every key. */
const aboveAll = '\xff'.repeat(limits.keyBytesMax + 1);

/** A single key is the range up to its next. */
export function boundsOf({ key, end }: KeyRange): readonly [ByteString, ByteString] {
  return [key, end === undefined ? `${key}\0` : end === '' ? aboveAll : end];
}

export function boundBuffers(range: KeyRange): [Buffer, Buffer] {
  const [start, end] = boundsOf(range);
  return [toBuffer(start), toBuffer(end)];
}
