import type { LeaseId } from '../core/engine.js';
import type { Shape } from '../core/shape.js';
import { WaymarkError } from '../core/errors.js';
import { isByteString } from '../core/bytes.js';
import { malformed, type Reader } from './reader.js';
import type { Writer } from './writer.js';

/** Writes what a shape describes. @throws {WaymarkError} `invalid` for a value of another shape */
export function writeShaped(w: Writer, shape: Shape<unknown>, value: unknown): void {
  switch (shape.kind) {
    case 'text':
      return w.text(value as string);
    case 'bytes':
      if (typeof value !== 'string' || !isByteString(value)) throw unfit('a byte string', value);
      return w.bytes(value);
    case 'blob':
      if (!(value instanceof Uint8Array)) throw unfit('bytes', value);
      return w.blob(value);
    case 'whole':
      return w.uint(value as number);
    case 'leaseId':
      return w.leaseId(value as LeaseId);
    case 'number':
      if (typeof value !== 'number') throw unfit('a number', value);
      return w.double(value);
    case 'flag':
      if (typeof value !== 'boolean') throw unfit('true or false', value);
      return w.bool(value);
    case 'json':
      return w.json(value);
    case 'optional':
      w.bool(value !== undefined);
      if (value !== undefined) writeShaped(w, inner(shape), value);
      return;
    case 'nullable':
      w.bool(value !== null);
      if (value !== null) writeShaped(w, inner(shape), value);
      return;
    case 'list':
      if (!Array.isArray(value)) throw unfit('a list', value);
      w.uint(value.length);
      for (const item of value) writeShaped(w, inner(shape), item);
      return;
    case 'record':
      if (typeof value !== 'object' || value === null) throw unfit('an object', value);
      for (const [name, field] of shape.fields ?? []) {
        writeShaped(w, field, (value as Readonly<Record<string, unknown>>)[name]);
      }
      return;
    case 'choice': {
      const position = shape.options?.indexOf(value as string) ?? -1;
      if (position < 0) throw unfit(`one of ${shape.options?.join(', ')}`, value);
      return w.byte(position);
    }
  }
}

export function readShaped(r: Reader, shape: Shape<unknown>): unknown {
  switch (shape.kind) {
    case 'text':
      return r.text();
    case 'bytes':
      return r.bytes();
    case 'blob':
      // The frame's bytes are used again for the next.
      return Buffer.from(r.blob());
    case 'whole':
      return r.uint();
    case 'leaseId':
      return r.leaseId();
    case 'number':
      return r.double();
    case 'flag':
      return r.bool();
    case 'json':
      return r.json();
    case 'optional':
      return r.bool() ? readShaped(r, inner(shape)) : undefined;
    case 'nullable':
      return r.bool() ? readShaped(r, inner(shape)) : null;
    case 'list': {
      const count = r.count();
      const items: unknown[] = [];
      for (let i = 0; i < count; i++) items.push(readShaped(r, inner(shape)));
      return items;
    }
    case 'record': {
      const record: Record<string, unknown> = {};
      for (const [name, field] of shape.fields ?? []) record[name] = readShaped(r, field);
      return record;
    }
    case 'choice': {
      const option = shape.options?.[r.byte()];
      if (option === undefined) throw malformed('it holds a number without a meaning');
      return option;
    }
  }
}

function inner(shape: Shape<unknown>): Shape<unknown> {
  return shape.of as Shape<unknown>;
}

function unfit(wanted: string, value: unknown): WaymarkError {
  return new WaymarkError('invalid', `${wanted} is needed, not ${typeof value}`);
}
