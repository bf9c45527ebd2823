import { Client as GrpcClient, credentials } from '@grpc/grpc-js';
import type { Client } from './client.js';
import { bytesField } from './protobuf.js';

/** etcd over grpc-js and nothing else: each put a transaction of its own, its messages written by hand, its answer not read. */
export async function connectEtcdPlain(address: string): Promise<Client> {
  const client = new GrpcClient(address, credentials.createInsecure());
  const same = (bytes: Buffer): Buffer => bytes;
  return {
    put: (key, value) =>
      new Promise((resolve, reject) => {
        const put = Buffer.concat([
          bytesField(1, Buffer.from(key)),
          bytesField(2, Buffer.from(value)),
        ]);
        const txn = bytesField(2, bytesField(2, put));
        client.makeUnaryRequest('/etcdserverpb.KV/Txn', same, same, txn, (error, answer) => {
          if (error === null) resolve(answer);
          else reject(error);
        });
      }),
    close: async () => client.close(),
  };
}
