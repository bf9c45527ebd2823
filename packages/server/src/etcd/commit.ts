import { type Check, type Operation, type Outcome, type Txn, WaymarkError } from 'waymark/engine';
import type { Call } from '../grpc/call.js';
import { etcdError } from './errors.js';
import { type Ground, namespaceOf } from './ground.js';

/** As etcd counts a request in its log, and what stands there around it: some bytes a field, and the request's own number. */
export const requestBytesMax = 1_572_864;
const [headerBytes, fieldBytes] = [18, 4];

/** Every write of a client goes this way. It has a revision of its own, as etcd's have. */
export async function commit(ground: Ground, call: Call, txn: Txn): Promise<Outcome> {
  if (bytesOf(txn) > requestBytesMax) throw etcdError('requestTooLarge');
  const namespace = namespaceOf(ground, call);
  const admitted = ground.quota.admit(namespace, txn);
  if (admitted !== undefined) await admitted;
  try {
    return await ground.host.commit(namespace, txn, { alone: true, wide: true });
  } catch (error) {
    if (!(error instanceof WaymarkError)) throw error;
    // Whatever else could be wrong with it was looked at before.
    if (error.code === 'invalid') throw etcdError('duplicateKey', error);
    throw error;
  }
}

function bytesOf({ when = [], apply = [], otherwise = [] }: Txn): number {
  let bytes = headerBytes;
  for (const check of when) bytes += bytesOfCheck(check);
  for (const branch of [apply, otherwise]) {
    for (const operation of branch) bytes += bytesOfOperation(operation);
  }
  return bytes;
}

function bytesOfCheck({ key, end = '', target, to }: Check): number {
  const value = target === 'value' ? (to as string).length : 0;
  return 3 * fieldBytes + key.length + end.length + value;
}

function bytesOfOperation(operation: Operation): number {
  if (operation.type === 'txn') return bytesOf(operation.txn);
  const { key } = operation;
  if (operation.type === 'put') return 2 * fieldBytes + key.length + operation.value.length;
  return 2 * fieldBytes + key.length + (operation.end?.length ?? 0);
}
