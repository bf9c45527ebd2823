import { createHash, timingSafeEqual } from 'node:crypto';
import { arrayToBytes } from '../core/bytes.js';
import type { Random } from '../core/clock.js';
import { WaymarkError } from '../core/errors.js';
import { prefixEnd } from '../core/ranges.js';
import type { EtcdClient } from '../engines/etcd/etcd-client.js';
import { compareResult, compareTarget } from '../engines/etcd/enums.js';
import { rangesOf } from '../engines/etcd/facts.js';
import { KV, Lease } from '../engines/etcd/gen/etcd_pb.js';
import { toBuffer } from '../engines/etcd/layout.js';
import { clusterRoot } from './member-file.js';

/**
 * Tokens to join by: `ID.SECRET`. The cluster itself keeps them, so that every member can redeem one, and only one member does: as
 * ROOT/m/join/ID with the SHA-256 of the secret, on a lease that ends it by etcd's clock.
 */
const prefix = `${clusterRoot}/m/join/`;
const ttl = { leastMs: 1_000, mostMs: 7 * 24 * 3_600_000 } as const;

/** @param ttlMs  1 000 to a week @throws {WaymarkError} `invalid`, `unavailable` */
export async function createToken(
  client: EtcdClient,
  random: Random,
  ttlMs: number,
): Promise<string> {
  if (!(Number.isInteger(ttlMs) && ttlMs >= ttl.leastMs && ttlMs <= ttl.mostMs))
    throw new WaymarkError('invalid', 'a token lives 1 s to 7 days');
  const id = random.id();
  const secret = random.id();
  const granted = await client.call(
    Lease.method.leaseGrant,
    { TTL: BigInt(Math.ceil(ttlMs / 1_000)) },
    { kind: 'write' },
  );
  await keep(client, id, { hash: hashOf(secret), lease: granted.ID });
  return `${id}.${secret}`;
}

/**
 * Takes a token out of use.
 *
 * @returns puts it back, for who could not use it after all
 * @throws {WaymarkError} `unauthenticated` for one that is wrong, used, or expired: which of them is not told
 */
export async function redeemToken(client: EtcdClient, token: string): Promise<() => Promise<void>> {
  const [, id = '', secret = ''] = /^([\w-]{1,64})\.([\w-]{1,64})$/.exec(token) ?? [];
  const key = toBuffer(prefix + id);
  const { kvs } = await client.call(KV.method.range, { key }, { kind: 'read' });
  const kept = kvs[0];
  const hash = arrayToBytes(kept?.value ?? new Uint8Array());
  if (!equal(hash, hashOf(secret)) || kept === undefined) throw refused();
  const { succeeded } = await client.call(
    KV.method.txn,
    {
      compare: [
        {
          key,
          result: compareResult.equal,
          target: compareTarget.mod,
          targetUnion: { case: 'modRevision', value: kept.modRevision },
        },
      ],
      success: [{ request: { case: 'requestDeleteRange', value: { key } } }],
    },
    { kind: 'write' },
  );
  if (!succeeded) throw refused();
  return () => keep(client, id, { hash, lease: kept.lease });
}

/** How many could still be used. */
export async function countTokens(client: EtcdClient): Promise<number> {
  const range = { key: toBuffer(prefix), rangeEnd: toBuffer(prefixEnd(prefix)), countOnly: true };
  const request = { success: [{ request: { case: 'requestRange' as const, value: range } }] };
  const [found] = rangesOf(await client.call(KV.method.txn, request, { kind: 'read' }));
  return Number(found?.count ?? 0n);
}

async function keep(
  client: EtcdClient,
  id: string,
  { hash, lease }: { hash: string; lease: bigint },
): Promise<void> {
  const put = { key: toBuffer(prefix + id), value: toBuffer(hash), lease };
  const request = { success: [{ request: { case: 'requestPut' as const, value: put } }] };
  // Sent twice it does the same.
  await client.call(KV.method.txn, request, { kind: 'read' });
}

function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

function equal(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}

function refused(): WaymarkError {
  return new WaymarkError(
    'unauthenticated',
    'the token is wrong, was used, or has expired: make another with `waymark cluster token DIR` on a member',
  );
}
