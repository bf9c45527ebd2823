import {
  create,
  fromBinary,
  type MessageInitShape,
  ProtobufWriter,
  PutRequestSchema,
  type PutRequest,
  PutResponseSchema,
  toBinary,
} from 'waymark/etcd';
import type { Ground } from './ground.js';
import { HeaderBytes } from './header-bytes.js';

/**
 * Put, the call that is made most, by hand where it is at its plainest: a key, a value and nothing else, answered by a header. What else it may
 * say goes the general way.
 */
const [keyTag, valueTag] = [0x0a, 0x12];

export interface PutCodec {
  decode(bytes: Uint8Array): PutRequest;
  encode(message: MessageInitShape<typeof PutResponseSchema>): Uint8Array;
}

export function putCodec(header: Ground['header']): PutCodec {
  const headers = new HeaderBytes(header);
  return {
    decode: (bytes) => plainPut(bytes) ?? fromBinary(PutRequestSchema, bytes),
    encode(message) {
      const revision = message.header?.revision;
      if (message.prevKv !== undefined || revision === undefined) {
        return toBinary(PutResponseSchema, create(PutResponseSchema, message));
      }
      const writer = new ProtobufWriter(headers.size(Number(revision)));
      headers.write(writer, Number(revision));
      return writer.done();
    },
  };
}

/** @returns null for what is not a key and then a value, to the last byte */
function plainPut(bytes: Uint8Array): PutRequest | null {
  if (bytes[0] !== keyTag) return null;
  const key = new Span(bytes, 1);
  if (key.end >= bytes.length || bytes[key.end] !== valueTag) return null;
  const value = new Span(bytes, key.end + 1);
  if (value.end !== bytes.length) return null;
  return {
    $typeName: 'etcdserverpb.PutRequest',
    key: bytes.subarray(key.begin, key.end),
    value: bytes.subarray(value.begin, value.end),
    lease: 0n,
    prevKv: false,
    ignoreValue: false,
    ignoreLease: false,
  };
}

/** Where bytes of a length that stands before them lie; past the end for a length that is no number of 21 bits. */
class Span {
  readonly begin: number;
  readonly end: number;

  constructor(bytes: Uint8Array, at: number) {
    let [length, scale, next] = [0, 1, at];
    for (; next < at + 3; scale *= 128) {
      const byte = bytes[next++] ?? 0;
      length += (byte & 127) * scale;
      if (byte < 128) break;
    }
    const whole = ((bytes[next - 1] ?? 0) & 128) === 0;
    this.begin = next;
    this.end = whole ? next + length : Infinity;
  }
}
