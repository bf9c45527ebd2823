import type { DeliveredEvent, DeliveredKind } from '../endpoints/endpoint.js';

/** One event as it came to a real endpoint. */
export interface Received extends Pick<
  DeliveredEvent,
  'id' | 'kind' | 'path' | 'sequence' | 'previous' | 'watchers' | 'value'
> {
  readonly fence: number;
  readonly attempt: number;
}

/** Of a document in structured mode, as text or parsed. */
export function receivedDocument(document: string | object): Received {
  const read = (typeof document === 'string' ? JSON.parse(document) : document) as Readonly<
    Record<string, unknown>
  >;
  return receivedBeside(
    (name) => (read[name] === undefined ? undefined : String(read[name])),
    valueOf(read),
  );
}

/** Of attributes and value in binary mode. @param attribute  decoded; undefined where there is none */
export function receivedBeside(
  attribute: (name: string) => string | undefined,
  value: Uint8Array | undefined,
): Received {
  const text = (name: string): string => attribute(name) ?? '';
  return {
    id: text('id'),
    kind: text('type').replace(/^dev\.waymark\./, '') as DeliveredKind,
    path: text('subject'),
    sequence: text('sequence'),
    previous: text('previous'),
    watchers: text('watchers').split(','),
    fence: Number(text('fence')),
    attempt: Number(text('attempt')),
    value,
  };
}

function valueOf(read: Readonly<Record<string, unknown>>): Uint8Array | undefined {
  const { data, data_base64: bytes, datacontenttype: type } = read;
  if (typeof bytes === 'string') return Buffer.from(bytes, 'base64');
  if (!('data' in read)) return undefined;
  return Buffer.from(type === 'application/json' ? JSON.stringify(data) : String(data));
}
