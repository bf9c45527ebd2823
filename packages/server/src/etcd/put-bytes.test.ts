import fc from 'fast-check';
import { create, fromBinary, PutRequestSchema, PutResponseSchema, toBinary } from 'waymark/etcd';
import { expect, test } from 'vitest';
import { headerOf, idsOf } from './ground.js';
import { putCodec } from './put-bytes.js';

const header = headerOf(idsOf('an engine'));
const codec = putCodec(header);
const bytes = fc.oneof(fc.uint8Array({ maxLength: 3 }), fc.uint8Array({ size: 'large' }));

test('a put reads the same by hand as the general way, whatever it says', () => {
  const request = fc.record({
    key: bytes,
    value: bytes,
    lease: fc.oneof(fc.constant(0n), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
    prevKv: fc.boolean(),
    ignoreValue: fc.boolean(),
  });
  fc.assert(
    fc.property(request, fc.boolean(), (said, plain) => {
      const { key, value } = said;
      const message = toBinary(
        PutRequestSchema,
        create(PutRequestSchema, plain ? { key, value } : said),
      );
      expect(bare(codec.decode(message))).toEqual(bare(fromBinary(PutRequestSchema, message)));
    }),
  );
});

test('what is cut off or garbled is refused by hand as the general way does', () => {
  const whole = toBinary(
    PutRequestSchema,
    create(PutRequestSchema, { key: Buffer.from('key'), value: Buffer.alloc(300, 'v') }),
  );
  const read = (decode: (message: Uint8Array) => object, message: Uint8Array): unknown => {
    try {
      return bare(decode(message));
    } catch {
      return 'refused';
    }
  };
  const broken = fc.tuple(fc.nat(whole.length), fc.nat(whole.length - 1), fc.nat(255));
  fc.assert(
    fc.property(broken, ([length, at, byte]) => {
      const message = Uint8Array.from(whole);
      message[at] = byte;
      const part = message.subarray(0, length);
      const general = (one: Uint8Array): object => fromBinary(PutRequestSchema, one);
      expect(read((one) => codec.decode(one), part)).toEqual(read(general, part));
    }),
    { numRuns: 2_000 },
  );
});

test('an answer written by hand says the same as one written the general way', () => {
  const revision = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
  const prevKv = fc.option(fc.record({ key: bytes, value: bytes }), { nil: undefined });
  fc.assert(
    fc.property(revision, prevKv, (at, previous) => {
      const said = { header: header(at), ...(previous === undefined ? {} : { prevKv: previous }) };
      const general = create(PutResponseSchema, said);
      expect(fromBinary(PutResponseSchema, codec.encode(said))).toEqual(
        fromBinary(PutResponseSchema, toBinary(PutResponseSchema, general)),
      );
    }),
  );
});

function bare(message: object): object {
  return Object.fromEntries(
    Object.entries(message).map(([name, value]: [string, unknown]) => [
      name,
      value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value,
    ]),
  );
}
