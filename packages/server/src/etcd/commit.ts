import { type Outcome, type Txn, WaymarkError } from 'waymark/engine';
import type { Call } from '../grpc/call.js';
import { etcdError } from './errors.js';
import { type Ground, namespaceOf } from './ground.js';

/** Every write of a client goes this way. It has a revision of its own, as etcd's have. */
export async function commit(ground: Ground, call: Call, txn: Txn): Promise<Outcome> {
  const namespace = namespaceOf(ground, call);
  const admitted = ground.quota.admit(namespace, txn);
  if (admitted !== undefined) await admitted;
  try {
    return await ground.host.commit(namespace, txn, { alone: true });
  } catch (error) {
    if (!(error instanceof WaymarkError)) throw error;
    // Whatever else could be wrong with it was looked at before.
    if (error.code === 'invalid') throw etcdError('duplicateKey', error);
    throw error;
  }
}
