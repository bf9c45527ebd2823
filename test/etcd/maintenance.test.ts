import { createHash } from 'node:crypto';
import { alarmAction, alarmType, Cluster, KV, Lease, Lock, Maintenance } from 'waymark/etcd';
import { expect, test } from 'vitest';
import type { EtcdApi } from './client.js';
import { onEachEtcd } from './each-etcd.js';
import { bytes } from './keys.js';

const { alarm, defragment, hash, hashKV, moveLeader, snapshot, status } = Maintenance.method;
const noSpace = { code: 8, text: 'etcdserver: mvcc: database space exceeded' };

const put = { key: bytes('k'), value: bytes('v') };

async function blobsOf(api: EtcdApi): Promise<{ blob: Uint8Array; remaining: bigint }[]> {
  const call = api.stream(snapshot);
  call.write({});
  call.end();
  const blobs: { blob: Uint8Array; remaining: bigint }[] = [];
  for await (const { blob, remainingBytes: remaining } of call) blobs.push({ blob, remaining });
  return blobs;
}

onEachEtcd((served) => {
  const nothing = { key: bytes('nothing') };

  test('the cluster is one member, with the URLs its clients know', async () => {
    const { api, address } = served();
    const { header, members } = await api.call(Cluster.method.memberList, {});
    // Members are no data: the header is without a revision.
    expect(header?.revision).toBe(0n);
    expect(members).toHaveLength(1);
    const [member] = members;
    expect(member).toMatchObject({ ID: header?.memberId, isLearner: false });
    expect(member?.name).not.toBe('');
    expect(member?.clientURLs).toEqual([`http://${address}`]);
  });

  test('members that there are not are refused, and so are URLs that are none', async () => {
    const { api } = served();
    const { memberAdd, memberPromote, memberRemove, memberUpdate } = Cluster.method;
    const badUrls = { code: 3, text: 'etcdserver: given member URLs are invalid' };
    for (const url of ['', 'x', 'ftp://127.0.0.1:1', 'http://127.0.0.1', 'http://127.0.0.1:1/x']) {
      expect(await api.refusal(memberAdd, { peerURLs: [url] })).toEqual(badUrls);
    }
    expect(await api.refusal(memberAdd, {})).toEqual(badUrls);
    const notFound = { code: 5, text: 'etcdserver: member not found' };
    expect(await api.refusal(memberRemove, { ID: 4n })).toEqual(notFound);
    const peerURLs = ['http://127.0.0.1:1'];
    expect(await api.refusal(memberUpdate, { ID: 4n, peerURLs })).toEqual(notFound);
    expect(await api.refusal(memberPromote, { ID: 4n })).toEqual(notFound);
    const { header } = await api.call(Cluster.method.memberList, {});
    const notLearner = { code: 9, text: 'etcdserver: can only promote a learner member' };
    expect(await api.refusal(memberPromote, { ID: header?.memberId ?? 0n })).toEqual(notLearner);
  });

  test('the status: a version, this member leads, no errors', async () => {
    const { api } = served();
    await api.call(KV.method.put, put);
    const state = await api.call(status, {});
    expect(state.version).toMatch(/^3\.\d+\.\d+$/);
    expect(state).toMatchObject({ leader: state.header?.memberId, isLearner: false, errors: [] });
    expect(state.raftTerm).toBe(state.header?.raftTerm);
    expect(state.raftIndex).toBeGreaterThan(0n);
    expect(state.raftAppliedIndex).toBe(state.raftIndex);
    expect(state.dbSize).toBeGreaterThan(0n);
    expect(state.dbSizeInUse).toBeGreaterThan(0n);
    expect(state.dbSizeInUse).toBeLessThanOrEqual(state.dbSize);
  });

  test('the leader is not moved to what is no member; to itself it is', async () => {
    const { api } = served();
    const bad = { code: 9, text: 'etcdserver: bad leader transferee' };
    expect(await api.refusal(moveLeader, { targetID: 4n })).toEqual(bad);
    const { leader } = await api.call(status, {});
    expect(await api.refusal(moveLeader, { targetID: leader })).toBe(null);
  });

  test('defragmenting is fine', async () => {
    expect(await served().api.refusal(defragment, {})).toBe(null);
  });

  test('while there is no space nothing is put or granted; reads, deletes and compaction go on', async () => {
    const { api } = served();
    await api.call(KV.method.put, put);
    const { header } = await api.call(status, {});
    const one = { memberID: header?.memberId ?? 0n, alarm: alarmType.noSpace };
    const raised = await api.call(alarm, { action: alarmAction.activate, ...one });
    expect(raised.alarms).toMatchObject([one]);
    const again = await api.call(alarm, { action: alarmAction.activate, ...one });
    expect(again.alarms).toMatchObject([one]);
    const listed = await api.call(alarm, { action: alarmAction.get });
    expect(listed.alarms).toMatchObject([one]);
    const { errors } = await api.call(status, {});
    expect(errors).toEqual([`memberID:${one.memberID} alarm:NOSPACE `]);

    expect(await api.refusal(KV.method.put, put)).toEqual(noSpace);
    const requestPut = { request: { case: 'requestPut', value: put } } as const;
    const requestDelete = { request: { case: 'requestDeleteRange', value: nothing } } as const;
    const inner = { success: [requestDelete], failure: [requestPut] };
    expect(await api.refusal(KV.method.txn, inner)).toEqual(noSpace);
    expect(await api.refusal(KV.method.txn, { success: [requestDelete] })).toBe(null);
    expect(await api.refusal(Lease.method.leaseGrant, { TTL: 60n })).toEqual(noSpace);
    const lease = { name: bytes('full'), lease: 0n };
    expect(await api.refusal(Lock.method.lock, lease)).toEqual({ ...noSpace, code: 2 });
    const { kvs } = await api.call(KV.method.range, { key: put.key });
    expect(kvs).toHaveLength(1);
    expect(await api.refusal(KV.method.deleteRange, { key: put.key })).toBe(null);
    const { revision } = (await api.call(status, {})).header ?? { revision: 0n };
    expect(await api.refusal(KV.method.compact, { revision })).toBe(null);

    const calm = await api.call(alarm, { action: alarmAction.deactivate, ...one });
    expect(calm.alarms).toMatchObject([one]);
    const none = await api.call(alarm, { action: alarmAction.deactivate, ...one });
    expect(none.alarms).toEqual([]);
    expect(await api.refusal(KV.method.put, put)).toBe(null);
  });

  test('the alarm holds while any member has it', async () => {
    const { api } = served();
    const alarms = [7n, 8n].map((memberID) => ({ memberID, alarm: alarmType.noSpace }));
    for (const one of alarms) await api.call(alarm, { action: alarmAction.activate, ...one });
    for (const one of alarms) {
      expect(await api.refusal(KV.method.put, put)).toEqual(noSpace);
      await api.call(alarm, { action: alarmAction.deactivate, ...one });
    }
    expect(await api.refusal(KV.method.put, put)).toBe(null);
  });

  test('what is corrupt takes no writes, and tells its reads', async () => {
    const { api } = served();
    const corrupt = { code: 15, text: 'etcdserver: corrupt cluster' };
    const one = { memberID: 7n, alarm: alarmType.corrupt };
    await api.call(KV.method.put, put);
    await api.call(alarm, { action: alarmAction.activate, ...one });
    expect((await api.call(status, {})).errors).toEqual(['memberID:7 alarm:CORRUPT ']);
    expect((await api.call(alarm, { alarm: alarmType.noSpace })).alarms).toEqual([]);
    expect((await api.call(alarm, { alarm: alarmType.corrupt })).alarms).toMatchObject([one]);
    const { revision } = (await api.call(status, {})).header ?? { revision: 0n };
    const requestRange = { request: { case: 'requestRange', value: nothing } } as const;
    const requestDelete = { request: { case: 'requestDeleteRange', value: nothing } } as const;
    const said = {
      put: await api.refusal(KV.method.put, put),
      remove: await api.refusal(KV.method.deleteRange, nothing),
      txn: await api.refusal(KV.method.txn, { success: [requestDelete] }),
      compact: await api.refusal(KV.method.compact, { revision }),
      range: await api.refusal(KV.method.range, nothing),
      reading: await api.refusal(KV.method.txn, { success: [requestRange] }),
      grant: await api.refusal(Lease.method.leaseGrant, { TTL: 60n }),
      revoke: await api.refusal(Lease.method.leaseRevoke, { ID: 4_711n }),
    };
    const locked = await api.refusal(Lock.method.lock, { name: bytes('corrupt') });
    await api.call(alarm, { action: alarmAction.deactivate, ...one });
    expect(locked).toEqual({ ...corrupt, code: 2 });
    const changes = { put: corrupt, remove: corrupt, txn: corrupt, compact: corrupt };
    const writes = { ...changes, grant: corrupt, revoke: corrupt };
    expect(said).toEqual({ ...writes, range: null, reading: null });
    expect(await api.refusal(KV.method.put, put)).toBe(null);
  });

  test('hashes: those of a revision stay as they are, and history has an end on both sides', async () => {
    const { api } = served();
    const { header } = await api.call(KV.method.put, { key: bytes('h'), value: bytes('1') });
    const revision = header?.revision ?? 0n;
    const first = await api.call(hashKV, { revision });
    expect(first.header?.revision).toBe(revision);
    await api.call(KV.method.put, { key: bytes('h'), value: bytes('2') });
    const same = await api.call(hashKV, { revision });
    expect(same.hash).toBe(first.hash);
    expect(same.header?.revision).toBe(revision + 1n);
    const other = await api.call(hashKV, {});
    expect(other.hash).not.toBe(first.hash);
    expect((await api.call(hashKV, { revision: revision + 1n })).hash).toBe(other.hash);
    const future = { code: 11, text: 'etcdserver: mvcc: required revision is a future revision' };
    expect(await api.refusal(hashKV, { revision: revision + 2n })).toEqual(future);
    await api.call(KV.method.compact, { revision: revision + 1n });
    const gone = { code: 11, text: 'etcdserver: mvcc: required revision has been compacted' };
    expect(await api.refusal(hashKV, { revision })).toEqual(gone);
    const { compactRevision } = await api.call(hashKV, {});
    expect(compactRevision).toBe(revision + 1n);
    const whole = await api.call(hash, {});
    expect(whole.header?.revision).toBeGreaterThan(revision);
    expect(whole.hash).toBeGreaterThan(0);
  });

  test('a snapshot tells what is still to come, and ends with its SHA-256', async () => {
    const { api } = served();
    for (let number = 0; number < 40; number++) {
      const value = Buffer.alloc(10_000, number);
      await api.call(KV.method.put, { key: bytes(`big/${number}`), value });
    }
    const blobs = await blobsOf(api);
    const sums = blobs.pop();
    expect(sums?.remaining).toBe(0n);
    const sha = createHash('sha256');
    let size = 0;
    for (const { blob } of blobs) {
      sha.update(blob);
      size += blob.length;
    }
    expect(Buffer.from(sums?.blob ?? [])).toEqual(sha.digest());
    expect(size).toBeGreaterThan(400_000);
    expect(size % 512).toBe(0);
    let sent = 0;
    for (const { blob, remaining } of blobs) {
      sent += blob.length;
      expect(remaining).toBe(BigInt(size - sent));
    }
  });
});
