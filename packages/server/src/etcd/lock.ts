import type {
  Lock,
  LockRequest,
  LockResponseSchema,
  MessageInitShape,
  UnlockRequest,
  UnlockResponseSchema,
} from 'waymark/etcd';
import { bytesToArray } from 'waymark/engine';
import type { Call } from '../grpc/call.js';
import type { Service } from '../grpc/methods.js';
import { grpcCode, GrpcError } from '../grpc/status.js';
import { commit } from './commit.js';
import { withoutCode } from './errors.js';
import type { Ground } from './ground.js';
import { bareKey, keyOf } from './key-area.js';
import { Queue } from './queue.js';

/** Locks, as keys in a queue: held as long as its key is there. */
export class LockService {
  readonly #ground: Ground;

  constructor(ground: Ground) {
    this.#ground = ground;
  }

  get handlers(): Service<typeof Lock> {
    return {
      lock: (request, call) => withoutCode(this.lock(request, call)),
      unlock: (request, call) => withoutCode(this.unlock(request, call)),
    };
  }

  async lock(
    { name, lease }: LockRequest,
    call: Call,
  ): Promise<MessageInitShape<typeof LockResponseSchema>> {
    const queue = new Queue(this.#ground, call, name, expired);
    const place = await queue.join(lease, new Uint8Array());
    const revision = place.first ? place.revision : await queue.turn(place);
    return { header: this.#ground.header(revision), key: bytesToArray(bareKey(place.key)) };
  }

  async unlock(
    { key }: UnlockRequest,
    call: Call,
  ): Promise<MessageInitShape<typeof UnlockResponseSchema>> {
    const apply = [{ type: 'delete', key: keyOf(key) }] as const;
    const { revision } = await commit(this.#ground, call, { apply });
    return { header: this.#ground.header(revision) };
  }
}

function expired(): GrpcError {
  return new GrpcError(grpcCode.unknown, 'mutex: session is expired');
}
