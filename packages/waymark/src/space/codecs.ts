import type { ByteString } from '../core/engine.js';
import { arrayToBytes, bytesToArray, bytesToText, textToBytes } from '../core/bytes.js';
import { WaymarkError } from '../core/errors.js';
import type { Codec } from './types.js';

/** JSON, the default: what `JSON.stringify` keeps. `undefined`, functions and cycles are refused. */
export const json: Codec<unknown> = {
  encode(value) {
    const text = JSON.stringify(value) as string | undefined;
    if (text === undefined) throw new TypeError('undefined and functions have no JSON');
    return text;
  },
  decode: (bytes) => JSON.parse(Buffer.from(bytes).toString('utf8')) as unknown,
};

/** Text as UTF-8. */
export const text: Codec<string> = {
  encode: (value) => value,
  decode: (bytes) => Buffer.from(bytes).toString('utf8'),
};

/** Bytes as they are. */
export const bytes: Codec<Uint8Array> = { encode: (value) => value, decode: (value) => value };

/** The part of Standard Schema (standardschema.dev) that types and checks a value. */
export interface StandardSchema<T> {
  readonly '~standard': {
    readonly validate: (value: unknown) => SchemaResult<T> | Promise<SchemaResult<T>>;
  };
}

type SchemaResult<T> =
  | { readonly value: T; readonly issues?: undefined }
  | { readonly issues: readonly { readonly message: string }[] };

/** JSON that a schema types, and checks on every read and write. The schema must check synchronously. */
export function checked<T>(schema: StandardSchema<T>): Codec<T> {
  const check = (value: unknown): T => {
    const result = schema['~standard'].validate(value);
    if (result instanceof Promise) throw new TypeError('the schema must check synchronously');
    if (result.issues !== undefined) {
      throw new TypeError(result.issues.map((issue) => issue.message).join('; '));
    }
    return result.value;
  };
  return {
    encode: (value) => json.encode(check(value)),
    decode: (value) => check(json.decode(value)),
  };
}

/** @throws {WaymarkError} `invalid` with the codec's own error as cause */
export function encodeValue<T>(codec: Codec<T>, path: string, value: T): ByteString {
  try {
    const encoded = codec.encode(value);
    return typeof encoded === 'string' ? wellFormed(encoded) : arrayToBytes(encoded);
  } catch (cause) {
    throw codecError(path, 'encoded', cause);
  }
}

/** @throws {WaymarkError} `invalid` when the bytes are not the codec's */
export function decodeValue<T>(codec: Codec<T>, path: string, value: ByteString): T {
  try {
    // The two most used need no array in between.
    if (codec === (json as Codec<unknown>)) return JSON.parse(bytesToText(value)) as T;
    if (codec === (text as Codec<unknown>)) return bytesToText(value) as T;
    return codec.decode(bytesToArray(value));
  } catch (cause) {
    throw codecError(path, 'decoded', cause);
  }
}

function wellFormed(value: string): ByteString {
  const bytes = textToBytes(value);
  // What is its own encoding is ASCII, and holds no surrogate.
  if (bytes !== value && /\p{Surrogate}/u.test(value)) {
    throw new TypeError('the text holds a lone surrogate');
  }
  return bytes;
}

function codecError(path: string, verb: string, cause: unknown): WaymarkError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new WaymarkError(
    'invalid',
    `the value of ${path} cannot be ${verb}: ${why}`,
    { path },
    cause,
  );
}

export { structured } from './structured.js';
