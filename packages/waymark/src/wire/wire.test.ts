import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Batch, Entry, LeaseId, Operation, Outcome, Query, Txn } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import { toLeaseId } from '../core/lease-id.js';
import { engineMethods } from './engine-methods.js';
import { firstBytes, FrameSplitter, preface } from './frames.js';
import { readError, writeError } from './errors.js';
import { hostMethods } from './host-methods.js';
import { readBatch, writeChange } from './batch-codec.js';
import { readQuery, writeQuery } from './query-codec.js';
import { readOutcome, readTxn, writeOutcome, writeTxn } from './txn-codec.js';
import type { Method } from './method.js';
import { Reader } from './reader.js';
import { Writer } from './writer.js';

const whole = fc.oneof(fc.nat(300), fc.maxSafeNat(), fc.constant(Number.MAX_SAFE_INTEGER));
const leaseId = fc.oneof(
  whole,
  fc.maxSafeInteger(),
  fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n).map(toLeaseId),
  fc.constantFrom<LeaseId>('9223372036854775807', '-9223372036854775808', '9007199254740992', -1),
);
const bytes = fc
  .uint8Array({ maxLength: 60 })
  .map((array) => Buffer.from(array).toString('latin1'));
const entry: fc.Arbitrary<Entry> = fc.record({
  key: bytes,
  value: bytes,
  createRevision: whole,
  modRevision: whole,
  version: whole,
  lease: leaseId,
});
const query: fc.Arbitrary<Query> = fc.record(
  {
    key: bytes,
    end: bytes,
    at: whole,
    limit: whole,
    orderBy: fc.constantFrom('key', 'create', 'mod', 'version', 'value'),
    descending: fc.constant(true),
    keysOnly: fc.constant(true),
    countOnly: fc.constant(true),
    uncounted: fc.constant(true),
    minModRevision: whole,
    maxModRevision: whole,
    minCreateRevision: whole,
    maxCreateRevision: whole,
  },
  { requiredKeys: ['key'] },
) as fc.Arbitrary<Query>;
const check = fc.oneof(
  fc.record({
    key: bytes,
    end: fc.option(bytes, { nil: undefined }),
    target: fc.constantFrom('version', 'create', 'mod'),
    is: fc.constantFrom('=', '!=', '<', '>'),
    to: whole,
  }),
  fc.record({ key: bytes, target: fc.constant('lease'), is: fc.constant('<'), to: leaseId }),
  fc.record({ key: bytes, target: fc.constant('value'), is: fc.constant('='), to: bytes }),
);
const { txn } = fc.letrec<{ txn: Txn; operation: Operation }>((tie) => ({
  operation: fc.oneof(
    { depthSize: 'small' },
    fc.record({
      type: fc.constant('put' as const),
      key: bytes,
      value: bytes,
      lease: fc.option(
        leaseId.filter((id) => id !== 0),
        { nil: undefined },
      ),
      previous: fc.boolean(),
      keepValue: fc.boolean(),
      keepLease: fc.boolean(),
    }),
    fc.record({
      type: fc.constant('delete' as const),
      key: bytes,
      end: fc.option(bytes, { nil: undefined }),
      previous: fc.boolean(),
    }),
    query.map((q) => ({ type: 'read' as const, ...q })),
    fc.record({ type: fc.constant('txn' as const), txn: tie('txn') }),
  ) as fc.Arbitrary<Operation>,
  txn: fc.record({
    when: fc.array(check as fc.Arbitrary<never>, { maxLength: 3 }),
    apply: fc.array(tie('operation'), { maxLength: 3 }),
    otherwise: fc.array(tie('operation'), { maxLength: 2 }),
  }) as fc.Arbitrary<Txn>,
}));

function written(write: (w: Writer) => void): Reader {
  const writer = new Writer();
  writer.begin();
  write(writer);
  writer.end();
  const frame = writer.take() as Buffer;
  return new Reader(frame, 4);
}

/** Without what says nothing: false, absent, and empty lists. */
function meaning(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, item: unknown) =>
      item === false || (Array.isArray(item) && item.length === 0) ? undefined : item,
    ),
  );
}

describe('what is written is read', () => {
  test('whole numbers', () => {
    fc.assert(fc.property(whole, (n) => written((w) => w.uint(n)).uint() === n));
    for (const n of [0, 127, 128, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]) {
      expect(written((w) => w.uint(n)).uint()).toBe(n);
    }
    for (const n of [-1, 1.5, Number.NaN, Infinity, 2 ** 53]) {
      expect(() => written((w) => w.uint(n))).toThrow(WaymarkError);
    }
  });

  test('texts and bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), bytes, (text, raw) => {
        const r = written((w) => {
          w.text(text);
          w.bytes(raw);
          w.text(text);
          w.text(text);
        });
        expect([r.text(), r.bytes(), r.name(), r.name(), r.done]).toEqual([
          text,
          raw,
          text,
          text,
          true,
        ]);
      }),
    );
  });

  test('queries and transactions', () => {
    fc.assert(
      fc.property(query, txn, (q, t) => {
        const r = written((w) => {
          writeQuery(w, q);
          writeTxn(w, t);
        });
        expect(readQuery(r)).toEqual(q);
        expect(meaning(readTxn(r))).toEqual(meaning(t));
        expect(r.done).toBe(true);
      }),
    );
  });

  test('a reading of one key, whose key only the question tells', () => {
    fc.assert(
      fc.property(fc.option(entry), whole, (found, revision) => {
        const entries = found === null ? [] : [found];
        const reading = { revision, count: entries.length, more: false, entries };
        const { writeResult, readResult } = hostMethods.get;
        const key = found?.key ?? 'd/none';
        const r = written((w) => writeResult(w, reading));
        expect(readResult(r, { namespace: 'n', query: { key }, stale: false })).toEqual(reading);
        expect(r.done).toBe(true);
      }),
    );
  });

  test('outcomes and batches', () => {
    const previous = fc.option(fc.option(entry), { nil: undefined });
    const result = fc.oneof(
      previous.map((p) => ({ type: 'put', ...(p === undefined ? {} : { previous: p }) })),
      fc.record({ type: fc.constant('delete'), deleted: whole, previous: fc.array(entry) }),
      fc.record({
        type: fc.constant('read'),
        reading: fc.record({
          revision: whole,
          count: whole,
          more: fc.boolean(),
          entries: fc.array(entry),
        }),
      }),
    );
    const change = fc.record(
      { kind: fc.constantFrom('put', 'delete', 'expire'), entry, previous: fc.option(entry) },
      { requiredKeys: ['kind', 'entry'] },
    );
    fc.assert(
      fc.property(fc.array(result), fc.array(change), whole, (results, changes, revision) => {
        const outcome = { revision, succeeded: true, results } as Outcome;
        const batch = { revision, changes } as Batch;
        const r = written((w) => {
          writeOutcome(w, outcome);
          w.uint(revision);
          w.uint(changes.length);
          for (const one of batch.changes) writeChange(w, one);
        });
        expect(readOutcome(r)).toEqual(outcome);
        expect(readBatch(r)).toEqual(batch);
      }),
    );
  });

  test('errors with their facts', () => {
    const error = new WaymarkError('locked', 'held by ü', { holder: 'ü', token: 7 });
    expect(written((w) => writeError(w, error)).done).toBe(false);
    expect(readError(written((w) => writeError(w, error))).toJSON()).toEqual(error.toJSON());
    const secret = readError(written((w) => writeError(w, new Error('a secret'))));
    expect(secret).toMatchObject({ code: 'internal', message: 'an internal error' });
  });
});

test('whatever the bytes are, reading gives a value or a typed error', () => {
  const methods = [...Object.values(engineMethods), ...Object.values(hostMethods)] as Method<
    unknown,
    unknown
  >[];
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 120 }),
      fc.constantFrom(...methods),
      (payload, method) => {
        for (const read of [method.readArgs, method.readResult]) {
          try {
            read(new Reader(payload), { query: { key: 'asked' } });
          } catch (error) {
            expect(error).toBeInstanceOf(WaymarkError);
          }
        }
      },
    ),
    { numRuns: 5_000 },
  );
});

test('a list never outgrows the frame it came in', () => {
  const r = written((w) => {
    w.uint(1);
    w.uint(2 ** 40);
  });
  expect(() => readBatch(r)).toThrow(WaymarkError);
});

test('verbs are told apart', () => {
  const verbs = [...Object.values(engineMethods), ...Object.values(hostMethods)].map((m) => m.verb);
  expect(new Set(verbs).size).toBe(verbs.length);
  for (const verb of verbs) expect(verb).toBeGreaterThanOrEqual(0x20);
});

test('frames are found however the stream is cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 20 }),
      (payloads, cuts) => {
        const stream = Buffer.concat(
          payloads.map((payload) => {
            const frame = Buffer.alloc(4 + payload.length);
            frame.writeUInt32BE(payload.length);
            frame.set(payload, 4);
            return frame;
          }),
        );
        const seen: string[] = [];
        const splitter = new FrameSplitter((chunk, start, end) =>
          seen.push(chunk.subarray(start, end).toString('hex')),
        );
        for (let at = 0, i = 0; at < stream.length; i++) {
          const size = cuts[i % cuts.length] as number;
          splitter.push(stream.subarray(at, at + size));
          at += size;
        }
        expect(seen).toEqual(payloads.map((payload) => Buffer.from(payload).toString('hex')));
      },
    ),
  );
});

test('the first bytes tell protocols apart', () => {
  expect(firstBytes(preface)).toBe('waymark');
  expect(firstBytes(preface.subarray(0, 2))).toBe('more');
  expect(firstBytes(Buffer.from('PRI * HTTP/2.0\r\n'))).toBe('http2');
  expect(firstBytes(Buffer.from('PRI'))).toBe('more');
  expect(firstBytes(Buffer.from('PUT /v1'))).toBe('http1');
  expect(firstBytes(Buffer.from([0x16, 3, 1]))).toBe('tls');
});

test('messages of many sizes leave in frames, and a long answer in parts', () => {
  const writer = new Writer();
  const sizes = [10, 70_000, 3, 2_500_000, 0];
  sizes.forEach((size, i) => {
    const mark = writer.begin();
    writer.byte(0x10);
    writer.uint(i + 1);
    writer.bytes('x'.repeat(size));
    writer.endAnswer(mark, i + 1);
  });
  const seen: number[] = [];
  const pieces: Buffer[] = [];
  const message = (r: Reader): void => {
    while (!r.done) {
      if (r.byte() === 0x12) {
        r.uint();
        const last = r.bool();
        pieces.push(Buffer.from(r.blob()));
        if (last) message(new Reader(Buffer.concat(pieces)));
        continue;
      }
      r.uint();
      seen.push(r.bytes().length);
    }
  };
  new FrameSplitter((chunk, start, end) => message(new Reader(chunk, start, end))).push(
    writer.take() as Buffer,
  );
  expect(seen).toEqual(sizes);
  expect(writer.take()).toBe(null);
});
