import { Client, credentials } from '@grpc/grpc-js';
import { bytesField, numberField } from './protobuf.js';

export interface LockService {
  lock(name: string, lease: bigint): Promise<Buffer>;
  unlock(key: Buffer): Promise<void>;
  close(): void;
}

/** v3lockpb.Lock over grpc-js with the four messages written by hand: etcd3 does not carry this service. */
export function openLockService(address: string): LockService {
  const client = new Client(address, credentials.createInsecure());
  const call = (method: string, request: Buffer): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      const same = (bytes: Buffer): Buffer => bytes;
      client.makeUnaryRequest(`/v3lockpb.Lock/${method}`, same, same, request, (error, answer) => {
        if (error || answer === undefined) reject(error ?? new Error('no answer'));
        else resolve(answer);
      });
    });
  return {
    lock: async (name, lease) => {
      const answer = await call(
        'Lock',
        Buffer.concat([bytesField(1, Buffer.from(name)), numberField(2, lease)]),
      );
      return readBytesField(answer, 2);
    },
    unlock: async (key) => void (await call('Unlock', bytesField(1, key))),
    close: () => client.close(),
  };
}

/** The answers hold only length-delimited fields, each shorter than 128 bytes. */
function readBytesField(message: Buffer, wanted: number): Buffer {
  for (let at = 0; at < message.length;) {
    const field = (message[at] ?? 0) >> 3;
    const length = message[at + 1] ?? 0;
    if (field === wanted) return message.subarray(at + 2, at + 2 + length);
    at += 2 + length;
  }
  throw new Error('the answer has no key');
}
