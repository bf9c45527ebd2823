import type {
  CampaignRequest,
  CampaignResponseSchema,
  Election,
  LeaderKey,
  LeaderRequest,
  LeaderResponseSchema,
  MessageInitShape,
  ProclaimRequest,
  ProclaimResponseSchema,
  ResignRequest,
  ResignResponseSchema,
} from 'waymark/etcd';
import {
  arrayToBytes,
  bytesToArray,
  type Entry,
  isWaymarkError,
  type Revision,
} from 'waymark/engine';
import type { Call, StreamCall } from '../grpc/call.js';
import type { Service } from '../grpc/methods.js';
import { grpcCode, GrpcError } from '../grpc/status.js';
import { commit } from './commit.js';
import { clamped, keyValueOf } from './entries.js';
import { withoutCode } from './errors.js';
import { type Ground, namespaceOf } from './ground.js';
import { bareKey, keyOf } from './key-area.js';
import { Queue, sessionLease } from './queue.js';

type LeaderResponse = MessageInitShape<typeof LeaderResponseSchema>;

/** Elections, as keys in a queue: the first of them leads, and says its value. */
export class ElectionService {
  readonly #ground: Ground;

  constructor(ground: Ground) {
    this.#ground = ground;
  }

  get handlers(): Service<typeof Election> {
    return {
      campaign: (request, call) => withoutCode(this.campaign(request, call)),
      proclaim: (request, call) => withoutCode(this.proclaim(request, call)),
      leader: (request, call) => withoutCode(this.leader(request, call)),
      observe: (call) => withoutCode(this.observe(call)),
      resign: (request, call) => withoutCode(this.resign(request, call)),
    };
  }

  async campaign(
    { name, lease, value }: CampaignRequest,
    call: Call,
  ): Promise<MessageInitShape<typeof CampaignResponseSchema>> {
    const queue = this.#queue(name, call);
    const place = await queue.join(lease, value);
    let { revision } = place;
    const { since } = place;
    const leader = {
      name,
      key: bytesToArray(bareKey(place.key)),
      rev: BigInt(since),
      lease: BigInt(place.lease),
    };
    if (place.found !== undefined && place.found.value !== arrayToBytes(value)) {
      revision = await this.#proclaim(leader, value, call);
    }
    if (!place.first) await queue.turn(place);
    return { header: this.#ground.header(revision), leader };
  }

  async proclaim(
    { leader, value }: ProclaimRequest,
    call: Call,
  ): Promise<MessageInitShape<typeof ProclaimResponseSchema>> {
    if (leader === undefined) throw missingLeaderKey();
    return { header: this.#ground.header(await this.#proclaim(leader, value, call)) };
  }

  async leader({ name }: LeaderRequest, call: Call): Promise<LeaderResponse> {
    const { entry, revision } = await this.#queue(name, call).first();
    if (entry === undefined) throw new GrpcError(grpcCode.unknown, 'election: no leader');
    return this.#led(entry, revision);
  }

  /** Tells who leads, and each value that the leader proclaims, and who leads after it, until the client leaves. */
  async observe(call: StreamCall<LeaderRequest, LeaderResponse>): Promise<void> {
    for await (const { name } of call) {
      const queue = this.#queue(name, call);
      for (;;) {
        try {
          await this.#observe(queue, call);
        } catch (error) {
          // Who leads now is told, whatever was missed.
          if (!isWaymarkError(error, 'compacted')) throw error;
        }
      }
    }
  }

  async resign(
    { leader }: ResignRequest,
    call: Call,
  ): Promise<MessageInitShape<typeof ResignResponseSchema>> {
    if (leader === undefined) throw missingLeaderKey();
    const place = { key: keyOf(leader.key), since: clamped(leader.rev) };
    const revision = await this.#queue(leader.name, call).leave(place);
    return { header: this.#ground.header(revision) };
  }

  /** One leader, to its end. */
  async #observe(queue: Queue, call: StreamCall<LeaderRequest, LeaderResponse>): Promise<void> {
    let { entry, revision: after } = await queue.first();
    if (entry === undefined) {
      entry = await queue.newcomer(after);
      after = entry.modRevision;
    }
    await call.send(this.#led(entry, after));
    const namespace = namespaceOf(this.#ground, call);
    const ranges = [{ key: entry.key }];
    const watch = { after, signal: call.signal };
    for await (const { changes, revision } of this.#ground.host.watch(namespace, ranges, watch)) {
      for (const change of changes) {
        if (change.kind !== 'put') return;
        await call.send(this.#led(change.entry, revision));
      }
    }
  }

  async #proclaim(
    { key: bare, rev, lease }: Pick<LeaderKey, 'key' | 'rev' | 'lease'>,
    value: Uint8Array,
    call: Call,
  ): Promise<Revision> {
    const key = keyOf(bare);
    const session = await sessionLease(this.#ground, call, lease);
    const { succeeded, revision } = await commit(this.#ground, call, {
      when: [{ key, target: 'create', is: '=', to: clamped(rev) }],
      apply: [{ type: 'put', key, value: arrayToBytes(value), lease: session }],
    });
    if (!succeeded) throw new GrpcError(grpcCode.unknown, 'election: not leader');
    return revision;
  }

  #led(entry: Entry, revision: Revision): LeaderResponse {
    return { header: this.#ground.header(revision), kv: keyValueOf(entry) };
  }

  #queue(name: Uint8Array, call: Call): Queue {
    return new Queue(this.#ground, call, name, expired);
  }
}

function missingLeaderKey(): GrpcError {
  return new GrpcError(grpcCode.unknown, '"leader" field must be provided');
}

/** What etcd does not look at: the lease ended while its client waited. */
function expired(): GrpcError {
  return new GrpcError(grpcCode.unknown, 'election: session expired');
}
