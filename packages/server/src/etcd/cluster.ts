import type {
  Cluster,
  MemberAddRequest,
  MemberAddResponseSchema,
  MemberListResponseSchema,
  MemberPromoteRequest,
  MemberPromoteResponseSchema,
  MemberRemoveRequest,
  MemberRemoveResponseSchema,
  MemberUpdateRequest,
  MemberUpdateResponseSchema,
  MessageInitShape,
} from 'waymark/etcd';
import type { Service } from '../grpc/methods.js';
import { grpcCode, GrpcError } from '../grpc/status.js';
import { etcdError } from './errors.js';
import { type Ground, raftTerm } from './ground.js';

const schemes = new Set(['http:', 'https:', 'unix:', 'unixs:']);

/** The cluster as clients of etcd see it: this server, alone, which leads. Its members are not changed by this API. */
export class ClusterService {
  readonly #ground: Ground;

  constructor(ground: Ground) {
    this.#ground = ground;
  }

  get handlers(): Service<typeof Cluster> {
    return {
      memberList: () => this.list(),
      memberAdd: (request) => this.add(request),
      memberRemove: (request) => this.remove(request),
      memberUpdate: (request) => this.update(request),
      memberPromote: (request) => this.promote(request),
    };
  }

  /** As in etcd its header has no revision: members are no data. */
  list(): MessageInitShape<typeof MemberListResponseSchema> {
    const { ids, urls } = this.#ground;
    const member = { ID: ids.memberId, name: 'waymark', peerURLs: [], clientURLs: [...urls()] };
    return { header: { ...ids, raftTerm }, members: [member] };
  }

  add({ peerURLs }: MemberAddRequest): MessageInitShape<typeof MemberAddResponseSchema> {
    if (peerURLs.length === 0 || !peerURLs.every(isPeerUrl)) throw etcdError('memberBadUrls');
    throw fixed();
  }

  remove({ ID }: MemberRemoveRequest): MessageInitShape<typeof MemberRemoveResponseSchema> {
    this.#find(ID);
    throw fixed();
  }

  update({ ID }: MemberUpdateRequest): MessageInitShape<typeof MemberUpdateResponseSchema> {
    this.#find(ID);
    throw fixed();
  }

  promote({ ID }: MemberPromoteRequest): MessageInitShape<typeof MemberPromoteResponseSchema> {
    this.#find(ID);
    throw etcdError('memberNotLearner');
  }

  #find(id: bigint): void {
    if (id !== this.#ground.ids.memberId) throw etcdError('memberNotFound');
  }
}

function isPeerUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, pathname } = new URL(text);
  if (!schemes.has(protocol)) return false;
  return protocol.startsWith('unix') || (/:\d+$/.test(text) && ['', '/'].includes(pathname));
}

function fixed(): GrpcError {
  const text =
    'waymark: members do not change by this API: use `waymark cluster join` and `waymark cluster leave`';
  return new GrpcError(grpcCode.failedPrecondition, text);
}
