import { arrayToBytes } from '../../core/bytes.js';
import type { Random } from '../../core/clock.js';
import { compareResult, compareTarget } from './enums.js';
import type { EtcdClient } from './etcd-client.js';
import { KV } from './gen/etcd_pb.js';
import { type Layout, toBuffer } from './layout.js';

/** The name of this order of commits: whoever opens the root first gives it. */
export async function claimIdentity(
  client: EtcdClient,
  layout: Layout,
  random: Random,
  signal: AbortSignal | undefined,
): Promise<string> {
  const key = layout.identityKey;
  const read = { request: { case: 'requestRange' as const, value: { key } } };
  const put = { key, value: toBuffer(random.id()) };
  const answer = await client.call(
    KV.method.txn,
    {
      compare: [
        {
          key,
          result: compareResult.equal,
          target: compareTarget.version,
          targetUnion: { case: 'version', value: 0n },
        },
      ],
      success: [{ request: { case: 'requestPut', value: put } }, read],
      failure: [read],
    },
    // Sent twice it does the same.
    { kind: 'read', signal },
  );
  const response = answer.responses.at(-1)?.response;
  const kv = response?.case === 'responseRange' ? response.value.kvs[0] : undefined;
  return arrayToBytes(kv?.value ?? new Uint8Array());
}
