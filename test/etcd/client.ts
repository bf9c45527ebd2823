import {
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from 'waymark/etcd';

/** A method as the generated descriptions have it: `KV.method.put`. */
export interface TypedMethod<I extends DescMessage, O extends DescMessage> {
  readonly name: string;
  readonly parent: { readonly typeName: string };
  readonly input: I;
  readonly output: O;
}

/** What etcd refused, as a client is told. */
export interface Refusal {
  readonly code: number;
  readonly text: string;
}

/** A client of etcd's API over grpc-js, which shares nothing with the server's side but the messages. */
export class EtcdApi implements Disposable {
  readonly #client: Client;
  readonly #metadata = new Metadata();

  /** @param address  `host:port`, `unix:/path` */
  constructor(
    address: string,
    metadata: Readonly<Record<string, string>> = {},
    shown: ChannelCredentials = credentials.createInsecure(),
  ) {
    const limits = {
      'grpc.max_receive_message_length': -1,
      'grpc.max_send_message_length': -1,
      'grpc.use_local_subchannel_pool': 1,
    };
    this.#client = new Client(address, shown, limits);
    for (const [key, value] of Object.entries(metadata)) this.#metadata.set(key, value);
  }

  /** @throws {ServiceError} */
  call<I extends DescMessage, O extends DescMessage>(
    method: TypedMethod<I, O>,
    request: MessageInitShape<I>,
    options: { readonly deadline?: number } = {},
  ): Promise<MessageShape<O>> {
    const { path, write, read } = codecOf(method);
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        path,
        write,
        read,
        request,
        this.#metadata,
        options,
        (error, answer) => {
          if (answer === undefined) reject(error as ServiceError);
          else resolve(answer);
        },
      );
    });
  }

  /** What the call is refused with; null when it is not. */
  async refusal<I extends DescMessage, O extends DescMessage>(
    method: TypedMethod<I, O>,
    request: MessageInitShape<I>,
  ): Promise<Refusal | null> {
    try {
      await this.call(method, request);
      return null;
    } catch (error) {
      const { code, details } = error as ServiceError;
      return { code, text: details };
    }
  }

  /** A stream in both directions; of a method that takes one request, write that and end it. */
  stream<I extends DescMessage, O extends DescMessage>(
    method: TypedMethod<I, O>,
  ): ClientDuplexStream<MessageInitShape<I>, MessageShape<O>> {
    const { path, write, read } = codecOf(method);
    return this.#client.makeBidiStreamRequest(path, write, read, this.#metadata);
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

function codecOf<I extends DescMessage, O extends DescMessage>(
  method: TypedMethod<I, O>,
): {
  path: string;
  write: (request: MessageInitShape<I>) => Buffer;
  read: (bytes: Buffer) => MessageShape<O>;
} {
  const { parent, name, input, output } = method;
  return {
    path: `/${parent.typeName}/${name}`,
    write: (request) => Buffer.from(toBinary(input, create(input, request))),
    read: (bytes) => fromBinary(output, bytes),
  };
}
