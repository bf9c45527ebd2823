import {
  create,
  type DescField,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
  ScalarType,
} from 'waymark/etcd';
import { enumNamesOf } from './enum-names.js';
import { type Json, JsonError, JsonNumber } from './json-values.js';

/**
 * A message of what JSON says, as Go's jsonpb reads it: names as the proto file has them or in camel case, 64-bit numbers as numbers or texts, bytes in
 * base64, enums by name or number, null for what is not given, and names it does not know passed over. Errors are in its words, which clients see.
 *
 * @throws {JsonError}
 */
export function messageOf<D extends DescMessage>(schema: D, json: Json): MessageShape<D> {
  if (json === null) return create(schema);
  if (!isObject(json)) throw mismatch(json, 'map[string]json.RawMessage');
  const init: Record<string, unknown> = {};
  for (const field of schema.fields) {
    const given = givenOf(json, field);
    if (given === null) continue;
    const value = fieldOf(field, given);
    if (field.oneof === undefined) init[field.localName] = value;
    else init[field.oneof.localName] = { case: field.localName, value };
  }
  return create(schema, init as MessageInitShape<D>);
}

function givenOf(json: { readonly [name: string]: Json }, { name, jsonName }: DescField): Json {
  for (const one of [jsonName, name]) {
    if (Object.hasOwn(json, one)) return json[one] as Json;
  }
  return null;
}

function fieldOf(field: DescField, json: Json): unknown {
  if (field.fieldKind !== 'list') return singleOf(field, json);
  if (!Array.isArray(json)) throw mismatch(json, '[]json.RawMessage');
  return (json as Json[]).map((one) => singleOf(field, one));
}

function singleOf(field: DescField, json: Json): unknown {
  if (field.message !== undefined) return messageOf(field.message, json);
  const names = enumNamesOf(field.parent.name, field.name);
  if (names !== undefined && typeof json === 'string') {
    const value = names.names.indexOf(json);
    if (value >= 0) return value;
    throw new JsonError(`unknown value ${JSON.stringify(json)} for enum ${names.type}`);
  }
  const scalar = field.scalar as ScalarType;
  const kind = integers[scalar];
  if (kind !== undefined) return integerOf(json, { ...kind, goType: names?.type ?? kind.goType });
  if (scalar === ScalarType.BYTES) return bytesOf(json);
  if (typeof json !== (scalar === ScalarType.BOOL ? 'boolean' : 'string')) {
    throw mismatch(json, scalar === ScalarType.BOOL ? 'bool' : 'string');
  }
  return json;
}

interface Integer {
  readonly goType: string;
  readonly min: bigint;
  readonly max: bigint;
  readonly wide: boolean;
}

const integers: Partial<Record<ScalarType, Integer>> = {
  [ScalarType.INT32]: { goType: 'int32', min: -(2n ** 31n), max: 2n ** 31n - 1n, wide: false },
  [ScalarType.UINT32]: { goType: 'uint32', min: 0n, max: 2n ** 32n - 1n, wide: false },
  [ScalarType.INT64]: { goType: 'int64', min: -(2n ** 63n), max: 2n ** 63n - 1n, wide: true },
  [ScalarType.UINT64]: { goType: 'uint64', min: 0n, max: 2n ** 64n - 1n, wide: true },
};

/** A text in quotes is read as what stands in them. */
function integerOf(json: Json, { goType, min, max, wide }: Integer): bigint | number {
  if (typeof json !== 'string' && !(json instanceof JsonNumber)) throw mismatch(json, goType);
  const text = typeof json === 'string' ? json : json.text;
  if (text === '') throw new JsonError('unexpected end of JSON input');
  if (!/^[-\d]/.test(text)) {
    throw new JsonError(`invalid character '${text[0]}' looking for beginning of value`);
  }
  const value = /^-?(0|[1-9]\d{0,30})$/.test(text) ? BigInt(text) : null;
  if (value === null || value < min || value > max) {
    throw new JsonError(`json: cannot unmarshal number ${text} into Go value of type ${goType}`);
  }
  return wide ? value : Number(value);
}

const alphabet = /^[A-Za-z0-9+/]*/;

/** Base64 with its padding, of the usual alphabet; breaks of lines are passed over. */
function bytesOf(json: Json): Uint8Array {
  if (typeof json !== 'string') throw mismatch(json, '[]uint8');
  const text = json.replace(/[\r\n]/g, '');
  const letters = alphabet.exec(text)?.[0].length ?? 0;
  const padding = text.slice(letters);
  const wanted = ['', null, '==', '='][letters % 4];
  if (padding !== wanted) {
    const before = wanted && padding.startsWith(wanted) ? wanted.length : 0;
    const at = padding === '' ? letters - (letters % 4) : letters + before;
    throw new JsonError(`illegal base64 data at input byte ${at}`);
  }
  return Buffer.from(text, 'base64');
}

function isObject(json: Json): json is { readonly [name: string]: Json } {
  return (
    typeof json === 'object' &&
    json !== null &&
    !Array.isArray(json) &&
    !(json instanceof JsonNumber)
  );
}

function mismatch(json: Json, goType: string): JsonError {
  const kind = json === null ? 'null' : kindOf(json);
  return new JsonError(`json: cannot unmarshal ${kind} into Go value of type ${goType}`);
}

function kindOf(json: Json): string {
  if (json instanceof JsonNumber) return 'number';
  if (Array.isArray(json)) return 'array';
  return typeof json === 'boolean' ? 'bool' : typeof json;
}
