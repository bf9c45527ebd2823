import { type GrpcCode, grpcCode } from '../../grpc/status.js';

/**
 * JSON without loss: a number is read as it was written, since ids of leases have more digits than a double holds.
 * Node 20's JSON.parse does not tell the source of a number, so that each is handed to it as a string with a mark before it.
 */

/** A value of JSON whose numbers are texts. */
export type Json =
  null | boolean | string | JsonNumber | readonly Json[] | { readonly [name: string]: Json };

export class JsonNumber {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** What the client sent is not what was to come. */
export class JsonError extends Error {
  override readonly name = 'JsonError';
  readonly code: GrpcCode;

  constructor(message: string, code: GrpcCode = grpcCode.invalidArgument) {
    super(message);
    this.code = code;
  }
}

/** Values may stand in one another so deep: messages of etcd do not, but for transactions in transactions. */
const depthMax = 500;

const quote = 0x22;
const backslash = 0x5c;

/** Takes JSON values, one after the other, out of the pieces a body comes in. */
export class JsonValues {
  readonly #bytesMax: number;
  readonly #value: (value: Json) => void;
  #pieces: Buffer[] = [];
  /** Of the value that is being read. */
  #bytes = 0;
  #depth = 0;
  #inText = false;
  #escaped = false;

  /** @param bytesMax  of one value */
  constructor(bytesMax: number, value: (value: Json) => void) {
    this.#bytesMax = bytesMax;
    this.#value = value;
  }

  /** @throws {JsonError} for what is no JSON, or too long */
  push(piece: Buffer): void {
    let from = 0;
    for (let at = 0; at < piece.length; at++) {
      if (!this.#endsAt(piece[at] as number)) continue;
      this.#keep(piece.subarray(from, at + 1));
      this.#emit();
      from = at + 1;
    }
    this.#keep(piece.subarray(from));
  }

  /** The body is whole. @throws {JsonError} when a value is not */
  end(): void {
    if (this.#depth > 0 || this.#inText) throw new JsonError('unexpected EOF');
    this.#emit();
  }

  /** Whether a value that is an object, an array or a string is whole with this byte, or another may be. */
  #endsAt(byte: number): boolean {
    if (this.#inText) {
      if (this.#escaped) this.#escaped = false;
      else if (byte === backslash) this.#escaped = true;
      else if (byte === quote) this.#inText = false;
      return !this.#inText && this.#depth === 0;
    }
    if (byte === quote) this.#inText = true;
    else if (byte === 0x7b || byte === 0x5b) this.#deeper();
    else if (byte === 0x7d || byte === 0x5d) return --this.#depth <= 0;
    return this.#depth === 0 && !this.#inText && isSpace(byte);
  }

  #deeper(): void {
    if (++this.#depth > depthMax) throw new JsonError('exceeded max depth');
  }

  #keep(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#bytes += bytes.length;
    if (this.#bytes > this.#bytesMax) {
      const text = `grpc: received message larger than max (${this.#bytes} vs. ${this.#bytesMax})`;
      throw new JsonError(text, grpcCode.resourceExhausted);
    }
    this.#pieces.push(bytes);
  }

  #emit(): void {
    const text = Buffer.concat(this.#pieces).toString();
    this.#pieces = [];
    [this.#bytes, this.#depth] = [0, 0];
    if (text.trim() !== '') this.#value(parse(text));
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** No text of JSON has this character as it is; one that has it escaped reads as a number, or as none. */
const mark = '\0';

/** @throws {JsonError} */
function parse(text: string): Json {
  try {
    return JSON.parse(withMarks(text), (_name, value: unknown) =>
      typeof value === 'string' && value.startsWith(mark) ? new JsonNumber(value.slice(1)) : value,
    ) as Json;
  } catch (error) {
    const [first = ''] = text.trim();
    if (/[[{"]/.test(first)) throw new JsonError(`invalid JSON: ${(error as Error).message}`);
    throw new JsonError(`invalid character '${first}' looking for beginning of value`);
  }
}

function withMarks(text: string): string {
  const parts: string[] = [];
  let from = 0;
  const number = /-?\d[\d.eE+-]*/y;
  for (let at = 0; at < text.length;) {
    const char = text.charCodeAt(at);
    if (char === quote) at = endOfText(text, at);
    else if (char === 0x2d || (char >= 0x30 && char <= 0x39)) {
      number.lastIndex = at;
      const [found] = number.exec(text) ?? [text[at] as string];
      parts.push(text.slice(from, at), `"\\u0000${found}"`);
      from = at += found.length;
    } else at++;
  }
  return parts.join('') + text.slice(from);
}

/** @param at  of the quote. @returns what comes after the closing one */
function endOfText(text: string, at: number): number {
  for (let end = at; ;) {
    end = text.indexOf('"', end + 1);
    if (end < 0) return text.length;
    let before = end;
    while (text.charCodeAt(before - 1) === backslash) before--;
    if ((end - before) % 2 === 0) return end + 1;
  }
}
