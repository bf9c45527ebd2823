import { Client as GrpcClient, type ClientDuplexStream, credentials } from '@grpc/grpc-js';
import {
  compareTarget,
  create,
  type DescMessage,
  fromBinary,
  KV,
  Lease,
  type MessageInitShape,
  type MessageShape,
  toBinary,
  Watch,
} from 'waymark/etcd';
import type { Client } from './client.js';

interface Method<I extends DescMessage, O extends DescMessage> {
  readonly name: string;
  readonly parent: { readonly typeName: string };
  readonly input: I;
  readonly output: O;
}

/** etcd's API over grpc-js and generated messages: the same client for whoever serves it. */
export async function connectEtcdGrpc(address: string): Promise<Client> {
  const client = new GrpcClient(address.replace('http://', ''), credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  });
  const call = <I extends DescMessage, O extends DescMessage>(
    method: Method<I, O>,
    request: MessageInitShape<I>,
  ): Promise<MessageShape<O>> =>
    new Promise((resolve, reject) => {
      const { path, write, read } = codecOf(method);
      client.makeUnaryRequest(path, write, read, request, (error, answer) => {
        if (answer === undefined) reject(error as Error);
        else resolve(answer);
      });
    });
  const put = (key: string, value: string): Promise<unknown> =>
    call(KV.method.put, { key: Buffer.from(key), value: Buffer.from(value) });
  return {
    put,
    get: (key) => call(KV.method.range, { key: Buffer.from(key) }),
    cas: async (key, value, expected) => {
      const name = Buffer.from(key);
      const targetUnion = {
        case: 'modRevision',
        value: (expected as bigint | undefined) ?? 0n,
      } as const;
      const request = {
        case: 'requestPut',
        value: { key: name, value: Buffer.from(value) },
      } as const;
      const answer = await call(KV.method.txn, {
        compare: [{ key: name, target: compareTarget.mod, targetUnion }],
        success: [{ request }],
      });
      if (!answer.succeeded) throw new Error('cas');
      return answer.header?.revision;
    },
    grant: async () => String((await call(Lease.method.leaseGrant, { TTL: 600n })).ID),
    publish: put,
    subscribe: (topic, watchers, told) => {
      const { path, write, read } = codecOf(Watch.method.watch);
      return watchAll(client.makeBidiStreamRequest(path, write, read), topic, watchers, told);
    },
    close: async () => client.close(),
  };
}

type WatchMethod = typeof Watch.method.watch;

/** All watches of a connection on one stream, as etcd's own clients do. */
function watchAll(
  stream: ClientDuplexStream<
    MessageInitShape<WatchMethod['input']>,
    MessageShape<WatchMethod['output']>
  >,
  topic: string,
  watchers: number,
  told: (watcher: number, value: string, revision: number) => void,
): Promise<void> {
  let standing = 0;
  return new Promise((resolve, reject) => {
    stream.on('error', reject);
    stream.on('data', ({ created, watchId, events }: MessageShape<WatchMethod['output']>) => {
      if (created && ++standing === watchers) resolve();
      for (const { kv } of events) {
        if (kv === undefined) continue;
        told(Number(watchId), Buffer.from(kv.value).toString('latin1'), Number(kv.modRevision));
      }
    });
    for (let watcher = 0; watcher < watchers; watcher++) {
      const value = { key: Buffer.from(topic) };
      stream.write({ requestUnion: { case: 'createRequest', value } });
    }
  });
}

function codecOf<I extends DescMessage, O extends DescMessage>(
  method: Method<I, O>,
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
