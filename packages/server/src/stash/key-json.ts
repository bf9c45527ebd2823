import type { StashFoundKey, StashKey } from 'waymark';
import { WaymarkError } from 'waymark/engine';

/** Keys and values of the stash in JSON, for REST and the command line: a text or a number is itself, a tuple an array, `{"bigint":"12"}` and `{"base64":"…"}` the rest. */

type Part = string | number | bigint | Uint8Array;

export function keyToJson(key: StashFoundKey): unknown {
  return Array.isArray(key) ? key.map(partToJson) : partToJson(key as Part);
}

/** @throws {WaymarkError} `invalid` */
export function keyFromJson(json: unknown): StashKey {
  return Array.isArray(json) ? json.map(partFromJson) : partFromJson(json);
}

export interface JsonValue {
  readonly value?: string;
  readonly base64: string;
}

/** As text too when it is UTF-8. */
export function valueToJson(bytes: Uint8Array): JsonValue {
  const base64 = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
  const text = utf8(bytes);
  return text === null ? { base64 } : { value: text, base64 };
}

/** The bytes of `value`, a text, or of `base64`. @throws {WaymarkError} `invalid` unless there is one of both */
export function valueFromJson({ value, base64 }: { value?: unknown; base64?: unknown }): Buffer {
  if (typeof value === 'string' && base64 === undefined) return Buffer.from(value, 'utf8');
  const encoded = typeof base64 === 'string' && /^[A-Za-z0-9+/]*={0,2}$/.test(base64);
  if (encoded && value === undefined) return Buffer.from(base64, 'base64');
  throw new WaymarkError('invalid', 'an entry has a value, which is a text, or base64');
}

function utf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

function partToJson(part: Part): unknown {
  if (typeof part === 'bigint') return { bigint: String(part) };
  if (part instanceof Uint8Array) return { base64: Buffer.from(part).toString('base64') };
  // JSON has no other numbers.
  if (typeof part === 'number' && !Number.isFinite(part)) return { number: String(part) };
  return part;
}

function partFromJson(json: unknown): Part {
  if (typeof json === 'string' || typeof json === 'number') return json;
  const { bigint, base64, number } = (json ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof bigint === 'string' && /^-?\d{1,600}$/.test(bigint)) return BigInt(bigint);
  if (typeof number === 'string' && /^-?Infinity$/.test(number)) return Number(number);
  if (typeof base64 === 'string') return valueFromJson({ base64 });
  const text = 'a key is a text, a number, an array of these, {"bigint":"12"} or {"base64":"…"}';
  throw new WaymarkError('invalid', text);
}
