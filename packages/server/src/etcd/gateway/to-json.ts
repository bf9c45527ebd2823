import { type DescField, type DescMessage, type MessageShape, ScalarType } from 'waymark/etcd';
import { enumNamesOf } from './enum-names.js';

/**
 * A message as etcd's gateway prints it: names of the proto file, 64-bit numbers as texts, bytes in base64, enums by name, and what has its default
 * left out.
 */
export function jsonOf<D extends DescMessage>(schema: D, message: MessageShape<D>): object {
  const json: Record<string, unknown> = {};
  const values = message as unknown as Record<string, unknown>;
  for (const field of schema.fields) {
    const value = valueOf(field, values);
    if (isDefault(value)) continue;
    json[field.name] =
      field.fieldKind === 'list'
        ? (value as unknown[]).map((one) => singleOf(field, one))
        : singleOf(field, value);
  }
  return json;
}

/** As Go writes it, with what HTML could take for its own escaped. */
export function printed(json: object): string {
  return JSON.stringify(json).replace(
    /[<>&\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function valueOf(field: DescField, values: Record<string, unknown>): unknown {
  if (field.oneof === undefined) return values[field.localName];
  const chosen = values[field.oneof.localName] as { case?: string; value?: unknown };
  return chosen.case === field.localName ? chosen.value : undefined;
}

function isDefault(value: unknown): boolean {
  if (value === undefined || value === 0 || value === 0n || value === '' || value === false)
    return true;
  return (Array.isArray(value) || value instanceof Uint8Array) && value.length === 0;
}

function singleOf(field: DescField, value: unknown): unknown {
  if (field.message !== undefined) return jsonOf(field.message, value as never);
  if (typeof value === 'bigint') return String(value);
  if (field.scalar === ScalarType.BYTES) {
    const { buffer, byteOffset, length } = value as Uint8Array;
    return Buffer.from(buffer, byteOffset, length).toString('base64');
  }
  const names = enumNamesOf(field.parent.name, field.name);
  return names?.names[value as number] ?? value;
}
