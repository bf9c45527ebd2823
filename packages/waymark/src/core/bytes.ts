import type { ByteString } from './engine.js';
import { latin1Slice, latin1Write } from './latin1.js';
import { limits } from './limits.js';

/**
 * Conversions between text, bytes and byte strings (rule K5). ASCII text is its own byte string, so the
 * common case costs one scan and no copy.
 */

/** Taken once: what stands under `Buffer` is a getter, and a text is looked at with each put and get. */
const { byteLength } = Buffer;

// eslint-disable-next-line no-control-regex -- the range of a byte
const wide = /[^\x00-\xff]/;

/** Longer strings are not kept alive for this. */
const rememberedMax = 4_096;

/**
 * What was found out last. Key and value of a write are looked at by several in a row, each of whom needs to know: the next to ask about
 * the same string compares instead of scanning it again.
 */
let lastAscii = '';
/** Two, written in turns: moving one to the other would be a second write to memory that the garbage collector watches. */
let bytesOne = '';
let bytesOther = '';
let oneIsNext = true;
/** Questions left for which it is worth comparing: who never tells what was found pays nothing for those who do. */
let askedSoon = 0;

/** Tells that `text` was found to be ASCII by other means: a stricter pattern that it matches. */
export function foundAscii(text: string): void {
  if (text.length <= rememberedMax) lastAscii = text;
  foundBytes(text);
}

/** Tells that `bytes` is a byte string because of how it was made. */
export function foundBytes(bytes: ByteString): void {
  if (bytes.length > rememberedMax) return;
  if (oneIsNext) bytesOne = bytes;
  else bytesOther = bytes;
  oneIsNext = !oneIsNext;
  askedSoon = 4;
}

/** `head` and `tail` as one; what is known of the tail is then known of it. The head is a byte string. */
export function joinBytes(head: ByteString, tail: ByteString): ByteString {
  const whole = head + tail;
  if (tail === bytesOne || tail === bytesOther) foundBytes(whole);
  return whole;
}

/** Where a look at a char goes that is made for what it does to the string. */
const look = { char: 0 };

/** The same string, for who hashes and compares it: two strings put together are a rope, and each of both would copy it anew. */
export function flat(bytes: ByteString): ByteString {
  look.char = bytes.charCodeAt(0);
  return bytes;
}

function isAscii(text: string): boolean {
  if (text === lastAscii) return true;
  const ascii = takesOneByteEach(text);
  if (ascii) foundAscii(text);
  return ascii;
}

/** Whether each char is a byte of UTF-8, so that the text is ASCII: Node counts faster than any pattern matches. */
function takesOneByteEach(text: string): boolean {
  return byteLength(text) === text.length;
}

/** UTF-8 encodes `text`. Lone surrogates become U+FFFD: check for them first where that matters. */
export function textToBytes(text: string): ByteString {
  return isAscii(text) ? text : Buffer.from(text, 'utf8').toString('latin1');
}

/** UTF-8 decodes; malformed sequences become U+FFFD. */
export function bytesToText(bytes: ByteString): string {
  return takesOneByteEach(bytes) ? bytes : Buffer.from(bytes, 'latin1').toString('utf8');
}

export function bytesToArray(bytes: ByteString): Uint8Array {
  return Buffer.from(bytes, 'latin1');
}

export function arrayToBytes(array: Uint8Array): ByteString {
  const { buffer, byteOffset, byteLength } = array;
  return Buffer.from(buffer, byteOffset, byteLength).toString('latin1');
}

const scratch = Buffer.allocUnsafeSlow(limits.keyBytesMax);

/**
 * A flat copy of its own: no slice that keeps a larger string alive, no rope that keeps its pieces. For what
 * an engine holds for long.
 */
export function ownBytes(bytes: ByteString): ByteString {
  const { length } = bytes;
  if (length > scratch.length) return Buffer.from(bytes, 'latin1').toString('latin1');
  latin1Write(scratch, bytes, 0, length);
  return latin1Slice(scratch, 0, length);
}

/** Whether every char is one byte. */
export function isByteString(value: string): boolean {
  if (askedSoon > 0) {
    askedSoon--;
    if (value === bytesOne || value === bytesOther) return true;
  }
  return !wide.test(value);
}
