import type { ByteString, KeyRange } from './engine.js';

/** Ranges of keys: half-open, `end: ''` unbounded, no `end` one single key (core/engine.ts). */

export function rangeContains(range: KeyRange, key: ByteString): boolean {
  if (range.end === undefined) return key === range.key;
  return key >= range.key && (range.end === '' || key < range.end);
}

/** Whether a key can be in both. */
export function rangesOverlap(a: KeyRange, b: KeyRange): boolean {
  if (a.end === undefined) return rangeContains(b, a.key);
  if (b.end === undefined) return rangeContains(a, b.key);
  return (a.end === '' || b.key < a.end) && (b.end === '' || a.key < b.end);
}

/** The first key after all that begin with `prefix`; '' when there is none (empty, or all 0xff). */
export function prefixEnd(prefix: ByteString): ByteString {
  let last = prefix.length - 1;
  while (last >= 0 && prefix.charCodeAt(last) === 0xff) last--;
  if (last < 0) return '';
  return prefix.slice(0, last) + String.fromCharCode(prefix.charCodeAt(last) + 1);
}

/** All keys that begin with `prefix`. */
export function prefixRange(prefix: ByteString): KeyRange {
  return { key: prefix, end: prefixEnd(prefix) };
}

/** Whether every key of `inner` is in `outer`. */
export function rangeWithin(inner: KeyRange, outer: KeyRange): boolean {
  if (inner.end === undefined) return rangeContains(outer, inner.key);
  if (outer.end === undefined || inner.key < outer.key) return false;
  return outer.end === '' || (inner.end !== '' && inner.end <= outer.end);
}
