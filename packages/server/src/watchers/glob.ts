import { type ByteString, bytesToText, limits, textToBytes, WaymarkError } from 'waymark/engine';

/**
 * Redis globs, byte by byte as Redis matches them (`stringmatchlen` in its util.c): `?` is one byte, `*` any number of them, `[a-c]` one of a class, `[^a]` one that is
 * not, `\` takes what follows as it stands.
 *
 * Redis tries a `*` at every length and calls itself for the rest. Here a pattern is read once and cut at its stars: the first piece stands at the beginning, the
 * last at the end, and each one between is sought from where the one before ended. The earliest place is always good enough, so nothing is tried twice, and a
 * piece without classes is found by the runtime's own search.
 */
export type Matcher = (path: string) => boolean;

/** A byte, several of them (a bit each), or one of the two below. */
export type Step = number | Uint32Array;
/** Any number of bytes. */
export const star = -1;
/** One byte, whichever. */
export const one = -2;

export interface Glob {
  readonly steps: readonly Step[];
  /** What all that it matches begins with, and ends with. A pattern without anything special is all beginning. */
  readonly beginning: ByteString;
  readonly ending: ByteString;
  matches(text: ByteString): boolean;
}

export function patternMatches(pattern: string): Matcher {
  const glob = readPattern(pattern);
  return (path) => glob.matches(textToBytes(path));
}

/** @throws {WaymarkError} `too_large` for more than 1 024 bytes; `invalid` for what is no text, or matches no path at all */
export function checkPattern(pattern: unknown): asserts pattern is string {
  if (typeof pattern !== 'string' || pattern === '')
    throw new WaymarkError('invalid', 'a pattern is text that is not empty, as /orders/*');
  const actual = Buffer.byteLength(pattern);
  const { patternBytesMax: max } = limits;
  if (actual > max) {
    const facts = { limit: 'patternBytesMax', max, actual };
    throw new WaymarkError('too_large', `a pattern takes at most ${max} bytes`, facts);
  }
  if (bytesToText(textToBytes(pattern)) !== pattern)
    throw new WaymarkError('invalid', 'a pattern is well-formed text: it holds half a character');
  const { steps } = readPattern(pattern);
  if (steps.some(takesNothing))
    throw new WaymarkError('invalid', 'the pattern matches nothing: it holds an empty class, []');
  if (!takes(steps[0] as Step, 0x2f))
    throw new WaymarkError('invalid', 'the pattern matches no path: paths begin with /');
}

export function readPattern(pattern: string): Glob {
  const steps = stepsOf(textToBytes(pattern));
  const pieces: Piece[] = [];
  let from = 0;
  for (let at = 0; at <= steps.length; at++) {
    if (at < steps.length && steps[at] !== star) continue;
    pieces.push(pieceOf(steps.slice(from, at)));
    from = at + 1;
  }
  const special = steps.findIndex((step) => !isByte(step));
  const ending = steps.slice(steps.findLastIndex((step) => !isByte(step)) + 1);
  return {
    steps,
    beginning: textOf(special < 0 ? steps : steps.slice(0, special)),
    ending: special < 0 ? '' : textOf(ending),
    matches: matcherOf(pieces),
  };
}

/** Steps without a star among them. */
interface Piece {
  readonly steps: readonly Step[];
  readonly length: number;
  /** Where all are bytes. */
  readonly text: ByteString | null;
}

function pieceOf(steps: readonly Step[]): Piece {
  return { steps, length: steps.length, text: steps.every(isByte) ? textOf(steps) : null };
}

function matcherOf(pieces: readonly Piece[]): (text: ByteString) => boolean {
  const first = pieces[0] as Piece;
  if (pieces.length === 1)
    return (text) => text.length === first.length && standsAt(first, text, 0);
  const last = pieces.at(-1) as Piece;
  const between = pieces.slice(1, -1);
  const lengthMin = pieces.reduce((sum, { length }) => sum + length, 0);
  return (text) => {
    // As in Redis: what is empty is matched by the empty pattern alone, and not by a star.
    if (text.length < lengthMin || text === '') return false;
    const end = text.length - last.length;
    if (!standsAt(first, text, 0) || !standsAt(last, text, end)) return false;
    let at = first.length;
    for (const piece of between) {
      const found = seek(piece, text, at, end);
      if (found < 0) return false;
      at = found + piece.length;
    }
    return true;
  };
}

function standsAt({ steps, length, text: own }: Piece, text: ByteString, at: number): boolean {
  if (own !== null) return text.startsWith(own, at);
  for (let i = 0; i < length; i++)
    if (!takes(steps[i] as Step, text.charCodeAt(at + i))) return false;
  return true;
}

function seek(piece: Piece, text: ByteString, from: number, end: number): number {
  const latest = end - piece.length;
  if (piece.text !== null) {
    const found = text.indexOf(piece.text, from);
    return found > latest ? -1 : found;
  }
  for (let at = from; at <= latest; at++) if (standsAt(piece, text, at)) return at;
  return -1;
}

export function takes(step: Step, byte: number): boolean {
  if (typeof step === 'number') return step === byte || step < 0;
  return (((step[byte >> 5] as number) >>> (byte & 31)) & 1) === 1;
}

function takesNothing(step: Step): boolean {
  return typeof step !== 'number' && step.every((bits) => bits === 0);
}

function isByte(step: Step): step is number {
  return typeof step === 'number' && step >= 0;
}

function textOf(steps: readonly Step[]): ByteString {
  return String.fromCharCode(...(steps as number[]));
}

function stepsOf(pattern: ByteString): Step[] {
  const steps: Step[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern[at];
    if (char === '*') {
      if (steps.at(-1) !== star) steps.push(star);
    } else if (char === '?') pushOne(steps);
    else if (char === '[') {
      const { step, end } = classAt(pattern, at + 1);
      if (step === one) pushOne(steps);
      else steps.push(step);
      at = end;
    } else {
      if (char === '\\' && at + 1 < pattern.length) at += 1;
      steps.push(pattern.charCodeAt(at));
    }
  }
  return steps;
}

/** `*?` and `?*` are the same: with the star behind, what is the same looks the same. */
function pushOne(steps: Step[]): void {
  if (steps.at(-1) === star) steps.splice(-1, 0, one);
  else steps.push(one);
}

/** @returns with the position of its last byte: a class that is not closed ends with the pattern */
function classAt(pattern: ByteString, from: number): { readonly step: Step; readonly end: number } {
  const bits = new Uint32Array(8);
  const negated = pattern[from] === '^';
  let at = negated ? from + 1 : from;
  for (; at < pattern.length && pattern[at] !== ']'; at++) {
    if (pattern[at] === '\\' && at + 1 < pattern.length) at += 1;
    else if (pattern[at + 1] === '-' && at + 2 < pattern.length) {
      addRange(bits, pattern.charCodeAt(at), pattern.charCodeAt(at + 2));
      at += 2;
      continue;
    }
    add(bits, pattern.charCodeAt(at));
  }
  if (negated) for (const [i, word] of bits.entries()) bits[i] = ~word;
  return { step: simplest(bits), end: Math.min(at, pattern.length - 1) };
}

/** Either end may come first. Redis compares bytes as C's `char`, which has a sign on the machines it mostly runs on. */
function addRange(bits: Uint32Array, a: number, b: number): void {
  const [x, y] = [signed(a), signed(b)];
  for (let byte = Math.min(x, y); byte <= Math.max(x, y); byte++) add(bits, byte & 0xff);
}

function signed(byte: number): number {
  return byte < 128 ? byte : byte - 256;
}

function add(bits: Uint32Array, byte: number): void {
  (bits[byte >> 5] as number) |= 1 << (byte & 31);
}

function simplest(bits: Uint32Array): Step {
  const taken: number[] = [];
  for (let byte = 0; byte < 256; byte++) if (takes(bits, byte)) taken.push(byte);
  if (taken.length === 256) return one;
  return taken.length === 1 ? (taken[0] as number) : bits;
}
