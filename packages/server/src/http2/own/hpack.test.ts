import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConnectionFault } from './codes.js';
import { type FieldEntry, fieldEntry } from './field-block.js';
import { FieldsEncoder } from './fields-encoder.js';
import { HpackDecoder } from './hpack-decoder.js';
import { huffmanBytes, huffmanDecode, huffmanEncode } from 'waymark/etcd';
import { staticTable } from './static-table.js';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

/** The fields of a block, also those that no request may have. */
function read(decoder: HpackDecoder, bytes: Buffer): (readonly [string, string])[] {
  const fields: FieldEntry['field'][] = [];
  decoder.read(bytes, 0, bytes.length, { add: (entry) => void fields.push(entry.field) });
  return fields;
}

const request = (scheme: string, path: string, ...more: [string, string][]) => [
  [':method', 'GET'],
  [':scheme', scheme],
  [':path', path],
  [':authority', 'www.example.com'],
  ...more,
];

const answer = (status: string, second: string, ...more: [string, string][]) => [
  [':status', status],
  ['cache-control', 'private'],
  ['date', `Mon, 21 Oct 2013 20:13:${second} GMT`],
  ['location', 'https://www.example.com'],
  ...more,
];

const requests: [fields: unknown, tableSize: number][] = [
  [request('http', '/'), 57],
  [request('http', '/', ['cache-control', 'no-cache']), 110],
  [request('https', '/index.html', ['custom-key', 'custom-value']), 164],
];
const answers: [fields: unknown, tableSize: number][] = [
  [answer('302', '21'), 222],
  [answer('307', '21'), 222],
  [
    answer(
      '200',
      '22',
      ['content-encoding', 'gzip'],
      ['set-cookie', 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'],
    ),
    215,
  ],
];
/** Section C.5 begins with a table of 256 bytes. */
const table256 = '3fe101';

const sequences: [section: string, blocks: string[], expected: [unknown, number][]][] = [
  [
    'C.3 requests without Huffman codes',
    [
      '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '8286 84be 5808 6e6f 2d63 6163 6865',
      '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
    ],
    requests,
  ],
  [
    'C.4 requests with Huffman codes',
    [
      '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
      '8286 84be 5886 a8eb 1064 9cbf',
      '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
    ],
    requests,
  ],
  [
    'C.5 answers without Huffman codes, with eviction',
    [
      `${table256} 4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032
       303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
      '4803 3330 37c1 c0bf',
      `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970
       7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178
       2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31`,
    ],
    answers,
  ],
  [
    'C.6 answers with Huffman codes, with eviction',
    [
      `${table256} 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b
       ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3`,
      '4883 640e ffc1 c0bf',
      `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2
       e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
    ],
    answers,
  ],
];

describe('examples of appendix C', () => {
  test.each([
    ['C.2.1 with indexing', '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572', 55],
    ['C.2.2 without indexing', '040c 2f73 616d 706c 652f 7061 7468', 0],
    ['C.2.3 never indexed', '1008 7061 7373 776f 7264 0673 6563 7265 74', 0],
    ['C.2.4 indexed', '82', 0],
  ])('[RFC 7541 %s]', (name, bytes, tableSize) => {
    const expected = {
      'C.2.1 with indexing': ['custom-key', 'custom-header'],
      'C.2.2 without indexing': [':path', '/sample/path'],
      'C.2.3 never indexed': ['password', 'secret'],
      'C.2.4 indexed': [':method', 'GET'],
    }[name];
    const decoder = new HpackDecoder(65_536);
    expect(read(decoder, hex(bytes))).toEqual([expected]);
    expect(decoder.tableSize).toBe(tableSize);
  });

  test.each(sequences)('[RFC 7541 %s]', (_, blocks, expected) => {
    const decoder = new HpackDecoder(65_536);
    for (const [i, block] of blocks.entries()) {
      const [fields, tableSize] = expected[i] ?? [];
      expect(read(decoder, hex(block))).toEqual(fields);
      expect(decoder.tableSize).toBe(tableSize);
    }
  });
});

/** `a: ` and so many bytes more, with indexing. */
const entryOf = (valueBytes: number): Buffer =>
  Buffer.concat([hex('400161'), length(valueBytes), Buffer.alloc(valueBytes, 0x62)]);

const length = (bytes: number): Buffer =>
  bytes < 127
    ? Buffer.of(bytes)
    : Buffer.of(127, ((bytes - 127) & 0x7f) | 0x80, (bytes - 127) >> 7);

describe('the dynamic table', () => {
  test('[RFC 7541 5.1] a number beyond its prefix: a table of 1337 bytes, as C.1.2 encodes it', () => {
    const decoder = new HpackDecoder(65_536);
    read(decoder, Buffer.concat([hex('3f9a0a'), entryOf(1_337 - 33)]));
    expect(decoder.tableSize).toBe(1_337);
    read(decoder, entryOf(1_337 - 32));
    expect(decoder.tableSize).toBe(0);
  });

  test('[RFC 7541 4.3] a smaller table evicts the oldest at once, and one of nothing all', () => {
    const decoder = new HpackDecoder(65_536);
    read(decoder, Buffer.concat([entryOf(10), entryOf(20)]));
    expect(decoder.tableSize).toBe(43 + 53);
    expect(read(decoder, hex('3f16 be'))).toEqual([['a', 'b'.repeat(20)]]);
    expect(decoder.tableSize).toBe(53);
    read(decoder, hex('20'));
    expect(decoder.tableSize).toBe(0);
  });

  test('[RFC 7541 4.4] an entry evicts the oldest; one larger than the table empties it, and is no error', () => {
    const decoder = new HpackDecoder(65_536);
    const many = Array.from({ length: 300 }, (_, i) => entryOf(i % 7));
    const kept = many.length;
    read(decoder, Buffer.concat(many));
    expect(decoder.tableSize).toBeLessThanOrEqual(4_096);
    expect(read(decoder, hex('be bf'))).toEqual(
      [kept - 1, kept - 2].map((i) => ['a', 'b'.repeat(i % 7)]),
    );
    expect(read(decoder, entryOf(4_097))).toEqual([['a', 'b'.repeat(4_097)]]);
    expect(decoder.tableSize).toBe(0);
  });

  test('[RFC 7541 4.4] a name may come from the entry that its own insertion evicts', () => {
    const decoder = new HpackDecoder(65_536);
    read(decoder, hex('3f0b 4003616263 0178'));
    expect(decoder.tableSize).toBe(36);
    expect(read(decoder, hex('7e 0179'))).toEqual([['abc', 'y']]);
    expect(read(decoder, hex('be'))).toEqual([['abc', 'y']]);
  });
});

test.each([
  ['2.3.3 an index beyond both tables', 'be'],
  ['6.1 the index 0', '80'],
  ['6.3 a table larger than was allowed', '3fe21f'],
  ['4.2 a change of the table size after a field', '82 20'],
  ['5.1 a number without end', 'ff ffff ffff ffff 7f'],
  ['5.1 a number cut short', 'ff'],
  ['5.2 a string longer than the block', '0003 6162'],
  ['5.2 a value longer than the block', '0001 6103 62'],
  ['5.2 a name and no value', '0001 61'],
  ['5.2 padding of eight bits', '0001 6182 1fff'],
  ['5.2 padding that is not of ones', '0001 6181 18'],
  ['5.2 the end-of-string symbol in a string', '0001 6184 ffffffff'],
])('[RFC 7541 %s] is COMPRESSION_ERROR', (_, bytes) => {
  const decoder = new HpackDecoder(65_536);
  expect(() => read(decoder, hex(bytes))).toThrow(ConnectionFault);
  expect(() => new HpackDecoder(65_536).decode(hex(bytes), 0, hex(bytes).length)).toThrow(
    expect.objectContaining({ code: 9 }),
  );
});

describe('Huffman codes', () => {
  test('[RFC 7541 B] is a code without gaps, of the lengths that were published', () => {
    const bits = (symbol: number): number => huffmanBytes(String.fromCharCode(symbol).repeat(8));
    let share = 2 ** -30;
    for (let symbol = 0; symbol < 256; symbol++) share += 2 ** -bits(symbol);
    expect(share).toBe(1);
    expect(
      ['0', '9', 'Z', '~', '\\', '\0', '\n', '\u00ff'].map((c) => huffmanBytes(c.repeat(8))),
    ).toEqual([5, 6, 8, 13, 19, 13, 30, 26]);
  });

  test('[RFC 7541 5.2] what was encoded is decoded', () => {
    const out = Buffer.alloc(1_000);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const coded = huffmanEncode(Buffer.from(bytes).toString('latin1'));
        expect(huffmanDecode(coded, 0, coded.length, out)).toBe(bytes.length);
        expect([...out.subarray(0, bytes.length)]).toEqual([...bytes]);
      }),
    );
  });
});

test('[RFC 7541 A] the static table has its 61 entries in their places', () => {
  expect(staticTable).toHaveLength(61);
  const at = (index: number) => staticTable[index - 1];
  expect(at(1)).toEqual([':authority', '']);
  expect(at(8)).toEqual([':status', '200']);
  expect(at(16)).toEqual(['accept-encoding', 'gzip, deflate']);
  expect(at(31)).toEqual(['content-type', '']);
  expect(at(47)).toEqual(['max-forwards', '']);
  expect(at(61)).toEqual(['www-authenticate', '']);
});

test('[RFC 7541 6.2.2] what the encoder writes the decoder reads, and leaves no trace in its table', () => {
  const encoder = new FieldsEncoder();
  const decoder = new HpackDecoder(65_536);
  const names = fc.constantFrom(':status', 'content-type', 'x-own', 'grpc-message', 'etag');
  const values = fc.oneof(
    fc.constantFrom('200', '', 'a'.repeat(200)),
    fc.string({ unit: 'binary-ascii' }),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(names, values), { maxLength: 20 }), (fields) => {
      expect(read(decoder, Buffer.from(encoder.encode(fields)))).toEqual(fields);
      expect(decoder.tableSize).toBe(0);
    }),
  );
});

test('the same array of fields is encoded once', () => {
  const encoder = new FieldsEncoder();
  const fields = [[':status', '200']] as const;
  expect(encoder.encode(fields)).toBe(encoder.encode(fields));
  expect([...encoder.encode(fields)]).toEqual([0x88]);
});

describe('blocks that repeat', () => {
  const decode = (decoder: HpackDecoder, text: string) =>
    decoder.decode(hex(text), 0, hex(text).length);

  test('a block that comes again is not read again', () => {
    const decoder = new HpackDecoder(65_536);
    decode(decoder, '4003616263 0178');
    expect(decode(decoder, '82be')).toBe(decode(decoder, '82be'));
    expect(decode(decoder, '82be').fields).toEqual([['abc', 'x']]);
  });

  test('the same bytes mean something else once the table has changed', () => {
    const decoder = new HpackDecoder(65_536);
    decode(decoder, '4003616263 0178');
    expect(decode(decoder, 'be').fields).toEqual([['abc', 'x']]);
    decode(decoder, '4003616263 0179');
    expect(decode(decoder, 'be').fields).toEqual([['abc', 'y']]);
    decode(decoder, '20');
    expect(() => decode(decoder, 'be')).toThrow(ConnectionFault);
  });

  test('a block that changes the table does so each time', () => {
    const decoder = new HpackDecoder(65_536);
    for (let i = 1; i <= 3; i++) {
      decode(decoder, '4003616263 0178');
      expect(decoder.tableSize).toBe(36 * i);
    }
  });
});

test('[RFC 7541 4.1] the size of an entry is that of its strings and 32', () => {
  expect(fieldEntry('abc', 'x').size).toBe(36);
});
