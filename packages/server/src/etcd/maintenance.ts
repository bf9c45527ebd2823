import {
  alarmAction,
  alarmType,
  type AlarmRequest,
  type AlarmResponseSchema,
  type HashKVRequest,
  type HashKVResponseSchema,
  type HashResponseSchema,
  type Maintenance,
  type MessageInitShape,
  type MoveLeaderRequest,
  type SnapshotRequest,
  type SnapshotResponseSchema,
  type StatusResponseSchema,
} from 'waymark/etcd';
import type { Call, StreamCall } from '../grpc/call.js';
import type { Service } from '../grpc/methods.js';
import { grpcCode, GrpcError } from '../grpc/status.js';
import type { Alarm } from './alarms.js';
import { clamped } from './entries.js';
import { etcdError } from './errors.js';
import { apiVersion, type Ground, namespaceOf, raftTerm } from './ground.js';
import { hashOf } from './hash.js';
import { snapshotOf } from './snapshot.js';

type SnapshotResponse = MessageInitShape<typeof SnapshotResponseSchema>;

const alarmNames: Readonly<Record<number, string>> = {
  [alarmType.none]: 'NONE',
  [alarmType.noSpace]: 'NOSPACE',
  [alarmType.corrupt]: 'CORRUPT',
};

/** What those who run an etcd ask it. */
export class MaintenanceService {
  readonly #ground: Ground;

  constructor(ground: Ground) {
    this.#ground = ground;
  }

  get handlers(): Service<typeof Maintenance> {
    return {
      alarm: (request, call) => this.alarm(request, call),
      status: (_request, call) => this.status(call),
      // Space comes free by itself, as soon as nobody can read what took it.
      defragment: () => ({}),
      hash: (_request, call) => this.hash(call),
      hashKV: (request, call) => this.hashKv(request, call),
      snapshot: (call) => this.snapshot(call),
      moveLeader: (request) => this.moveLeader(request),
      downgrade: () => {
        const text =
          'waymark: there is no downgrade: stop the server, and start the version you want';
        throw new GrpcError(grpcCode.unimplemented, text);
      },
    };
  }

  async alarm(
    { action, alarm: type, memberID: memberId }: AlarmRequest,
    call: Call,
  ): Promise<MessageInitShape<typeof AlarmResponseSchema>> {
    const { quota, engine, header } = this.#ground;
    const namespace = namespaceOf(this.#ground, call);
    const one: Alarm = { type, memberId };
    let alarms: readonly Alarm[] = [];
    if (action === alarmAction.get) alarms = await quota.alarms.list(namespace, type);
    if (action === alarmAction.activate) {
      await quota.alarms.activate(namespace, one);
      alarms = [one];
    }
    if (action === alarmAction.deactivate && (await quota.alarms.deactivate(namespace, one))) {
      alarms = [one];
    }
    const { revision } = await engine.status();
    return {
      header: header(revision),
      alarms: alarms.map((alarm) => ({ memberID: alarm.memberId, alarm: alarm.type })),
    };
  }

  async status(call: Call): Promise<MessageInitShape<typeof StatusResponseSchema>> {
    const { engine, quota, ids, header } = this.#ground;
    const namespace = namespaceOf(this.#ground, call);
    const { revision, bytes } = await engine.status();
    const alarms = await quota.alarms.list(namespace, alarmType.none);
    const size = BigInt(quota.used(namespace) ?? bytes);
    return {
      header: header(revision),
      version: apiVersion,
      dbSize: size,
      dbSizeInUse: size,
      leader: ids.memberId,
      raftIndex: BigInt(revision),
      raftAppliedIndex: BigInt(revision),
      raftTerm,
      errors: alarms.map(({ memberId, type }) => {
        return `memberID:${memberId} alarm:${alarmNames[type] ?? type} `;
      }),
    };
  }

  async hash(call: Call): Promise<MessageInitShape<typeof HashResponseSchema>> {
    const { engine, header } = this.#ground;
    const { revision } = await engine.status();
    const hash = await hashOf(this.#ground, namespaceOf(this.#ground, call), revision, call);
    return { header: header(revision), hash };
  }

  async hashKv(
    request: HashKVRequest,
    call: Call,
  ): Promise<MessageInitShape<typeof HashKVResponseSchema>> {
    const { engine, header } = this.#ground;
    const { revision, compacted } = await engine.status();
    const at = request.revision > 0n ? clamped(request.revision) : revision;
    if (at < compacted) throw etcdError('compacted');
    if (at > revision) throw etcdError('futureRevision');
    const hash = await hashOf(this.#ground, namespaceOf(this.#ground, call), at, call);
    // Nothing has been compacted yet: etcd tells that so.
    const compactRevision = BigInt(compacted === 0 ? -1 : compacted);
    return { header: header(revision), hash, compactRevision, hashRevision: BigInt(at) };
  }

  async snapshot(call: StreamCall<SnapshotRequest, SnapshotResponse>): Promise<void> {
    for await (const _request of call) {
      if (!this.#ground.allowSnapshot) {
        const text =
          'waymark: this server hands out no snapshots: use `waymark backup` where it listens on loopback alone';
        throw new GrpcError(grpcCode.permissionDenied, text);
      }
      for await (const { bytes, remaining } of snapshotOf(this.#ground, call)) {
        await call.send({ remainingBytes: BigInt(remaining), blob: bytes });
      }
      return;
    }
  }

  moveLeader({ targetID }: MoveLeaderRequest): Record<string, never> {
    if (targetID !== this.#ground.ids.memberId) throw etcdError('badLeaderTransferee');
    return {};
  }
}
