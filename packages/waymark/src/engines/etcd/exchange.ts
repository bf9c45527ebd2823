import {
  type DescMessage,
  type DescMethod,
  fromBinary,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';

/** A call of etcd's API: what it takes and answers. */
export interface Method<I extends DescMessage, O extends DescMessage> extends DescMethod {
  readonly input: I;
  readonly output: O;
}

/** One call: where it goes, what is sent, and how the answer is read. */
export interface Exchange<O> {
  readonly path: string;
  encode(): Buffer;
  decode(bytes: Buffer): O;
  /** For a transaction: what is sent, which then need not go by grpc-js; `busy` when many such are sent. */
  readonly quick?: { readonly message: Buffer; readonly busy: boolean };
}

export function exchangeOf<I extends DescMessage, O extends DescMessage>(
  method: Method<I, O>,
  message: MessageShape<I>,
): Exchange<MessageShape<O>> {
  return {
    path: pathOf(method),
    encode: () => encode(method.input, message),
    decode: (bytes) => fromBinary(method.output, bytes),
  };
}

export function pathOf(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

export function encode<I extends DescMessage>(schema: I, message: MessageShape<I>): Buffer {
  const bytes = toBinary(schema, message);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
