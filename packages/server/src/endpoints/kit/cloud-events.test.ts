import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { DeliveredEvent, Delivery } from '../endpoint.js';
import {
  batchDocument,
  contentTypeOf,
  eventAttributes,
  eventDocument,
  headerValue,
} from './cloud-events.js';

const put: DeliveredEvent = {
  id: '42.7',
  kind: 'put',
  namespace: 'default',
  path: '/orders/1',
  revision: 42,
  sequence: '0-42-7',
  previous: '0-41-0',
  watchers: ['aa', 'bb'],
  value: Buffer.from('{"total": 1.50}'),
};
const deliveryOf = (event: DeliveredEvent, more: Partial<Delivery> = {}): Delivery => ({
  id: 'd.1',
  stream: 'endpoint.engine',
  fence: 3_000_000_000,
  attempt: 2,
  sentAt: Date.UTC(2026, 0, 2, 3, 4, 5, 6),
  events: [event],
  ...more,
});
const documentOf = (event: DeliveredEvent, more: Partial<Delivery> = {}) =>
  JSON.parse(eventDocument(deliveryOf(event, more), event)) as Record<string, unknown>;

test('an event is a CloudEvents 1.0 document with its place in the stream', () => {
  expect(documentOf(put)).toEqual({
    specversion: '1.0',
    id: '42.7',
    source: 'urn:waymark:endpoint.engine:default',
    type: 'dev.waymark.put',
    subject: '/orders/1',
    datacontenttype: 'application/json',
    data: { total: 1.5 },
    sequence: '0-42-7',
    previous: '0-41-0',
    stream: 'endpoint.engine',
    revision: '42',
    fence: '3000000000',
    attempt: 2,
    sentat: '2026-01-02T03:04:05.006Z',
    watchers: 'aa,bb',
  });
  const marked = { ...put, previous: '', state: true, replay: true };
  const told = documentOf(marked, { part: { index: 2, of: 3 } });
  expect(told).toMatchObject({ state: true, replay: true, part: 2, parts: 3 });
  expect(told).not.toHaveProperty('previous');
  const probe = { ...put, kind: 'test', sequence: '', previous: '', value: undefined } as const;
  expect(documentOf(probe)).not.toHaveProperty('sequence');
});

test('a document is never much longer than its value, whatever has to be escaped', () => {
  for (const text of ['\u0001', '"', '\n', 'é"', '漢', 'x'].map((part) => part.repeat(30_000))) {
    const value = Buffer.from(text);
    const document = eventDocument(deliveryOf(put), { ...put, value });
    expect(Buffer.byteLength(document)).toBeLessThan(value.length * 1.4 + 1_000);
    const { data, data_base64: bytes } = JSON.parse(document) as Record<string, string>;
    expect(data ?? Buffer.from(bytes as string, 'base64').toString()).toBe(text);
  }
  expect(documentOf({ ...put, value: Buffer.from('say "no"\n') })['data']).toBe('say "no"\n');
});

test('values: JSON stands as it was written, text is a string, other bytes are base64, and no value is no data', () => {
  const dataOf = (value: Uint8Array | undefined) => {
    const { datacontenttype, data, data_base64 } = documentOf({ ...put, value });
    return [datacontenttype, data, data_base64];
  };
  const text = 'text/plain; charset=utf-8';
  expect(eventDocument(deliveryOf(put), put)).toContain('"data":{"total": 1.50}}');
  expect(dataOf(Buffer.from('"a"'))).toEqual(['application/json', 'a', undefined]);
  expect(dataOf(Buffer.from('nul'))).toEqual([text, 'nul', undefined]);
  expect(dataOf(Buffer.from('1,"id":"forged"'))).toEqual([text, '1,"id":"forged"', undefined]);
  expect(dataOf(Buffer.from('Grüße\r\n\0'))).toEqual([text, 'Grüße\r\n\0', undefined]);
  expect(dataOf(Buffer.from('\u{feff}{}'))).toEqual([text, '\u{feff}{}', undefined]);
  expect(dataOf(new Uint8Array())).toEqual([text, '', undefined]);
  const bytes = new Uint8Array([1, 0xff, 0, 0x80]).subarray(1, 3);
  expect(dataOf(bytes)).toEqual(['application/octet-stream', undefined, '/wA=']);
  expect(dataOf(undefined)).toEqual([undefined, undefined, undefined]);
  expect(contentTypeOf(bytes)).toBe('application/octet-stream');
});

test('a batch is a list of documents', () => {
  const gone = { ...put, kind: 'delete', id: '43.0', value: undefined } as const;
  const batch = JSON.parse(batchDocument(deliveryOf(put, { events: [put, gone] }))) as unknown;
  expect(batch).toMatchObject([
    { id: '42.7', type: 'dev.waymark.put', data: { total: 1.5 } },
    { id: '43.0', type: 'dev.waymark.delete' },
  ]);
});

test('documents and attributes hold what any event says, under names that CloudEvents allows', () => {
  const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 20 });
  const sequence = fc.stringMatching(/^[0-9]{16}-[0-9]{16}-[0-9]{13}$/);
  const event = fc.record({
    id: text,
    kind: fc.constantFrom('put', 'delete', 'expire', 'resync', 'test'),
    namespace: text,
    path: text,
    revision: fc.maxSafeNat(),
    sequence,
    previous: fc.option(sequence, { nil: '' }),
    watchers: fc.array(fc.uuid(), { minLength: 1, maxLength: 9 }),
    value: fc.option(
      fc.oneof(
        fc.uint8Array(),
        fc.json().map((json) => Buffer.from(json)),
      ),
      { nil: undefined },
    ),
  });
  fc.assert(
    fc.property(event as fc.Arbitrary<DeliveredEvent>, text, (told, stream) => {
      const delivery = deliveryOf(told, { stream });
      const read = JSON.parse(eventDocument(delivery, told)) as Record<string, unknown>;
      const beside = Object.fromEntries(eventAttributes(delivery, told));
      for (const name of [...Object.keys(read), ...Object.keys(beside)]) {
        expect(name).toMatch(/^(data_base64|[a-z][a-z0-9]{0,19})$/);
      }
      expect(read).toMatchObject({ id: told.id, subject: told.path, sequence: told.sequence });
      expect(read['source']).toMatch(/^urn:waymark:[!-~]+:[!-~]+$/);
      for (const [name, value] of Object.entries(beside)) expect(String(read[name])).toBe(value);
      expect(Object.values(beside)).not.toContain('');
    }),
  );
});

test('beside a value no more ids stand than headers have room for, and the rest is counted', () => {
  const watchers = Array.from({ length: 53 }, (_, at) => `w${at}`);
  const beside = new Map(eventAttributes(deliveryOf(put), { ...put, watchers }));
  expect(beside.get('watchers')?.split(',')).toEqual(watchers.slice(0, 50));
  expect(beside.get('morewatchers')).toBe('3');
  expect(documentOf({ ...put, watchers })['watchers']).toBe(watchers.join(','));
});

test('a header value is printable ASCII without blanks and quotes, and decodes to the text', () => {
  expect(headerValue('Euro € 😀')).toBe('Euro%20%E2%82%AC%20%F0%9F%98%80');
  expect(headerValue('a\r\nx-evil: "1"%0d')).toBe('a%0D%0Ax-evil:%20%221%22%250d');
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const value = headerValue(text);
      expect(value).toMatch(/^[!#-~]*$/);
      expect(decodeURIComponent(value)).toBe(text);
    }),
  );
});
