import {
  type CompactionRequest,
  type DeleteRangeRequest,
  type DeleteRangeResponseSchema,
  KV,
  type MessageInitShape,
  type PutRequest,
  type PutResponseSchema,
  type RangeRequest,
  type RangeResponseSchema,
  type TxnRequest,
  type TxnResponseSchema,
} from 'waymark/etcd';
import {
  type DeleteResult,
  isWaymarkError,
  type PutOperation,
  type PutResult,
} from 'waymark/engine';
import type { Call } from '../grpc/call.js';
import type { Service } from '../grpc/methods.js';
import { commit } from './commit.js';
import { clamped } from './entries.js';
import { etcdError } from './errors.js';
import { type Ground, namespaceOf } from './ground.js';
import { deleteResponse, putResponse, rangeResponse, responsesOf } from './kv-responses.js';
import { deleteOf, putOf, queryOf, readsBelowZero, txnOf } from './txn-requests.js';

type RangeResponse = MessageInitShape<typeof RangeResponseSchema>;
type PutResponse = MessageInitShape<typeof PutResponseSchema>;
type DeleteRangeResponse = MessageInitShape<typeof DeleteRangeResponseSchema>;
type TxnResponse = MessageInitShape<typeof TxnResponseSchema>;

/** Keys and values. */
export class KvService {
  readonly #ground: Ground;

  constructor(ground: Ground) {
    this.#ground = ground;
  }

  get handlers(): Service<typeof KV> {
    return {
      range: (request, call) => this.range(request, call),
      put: (request, call) => this.put(request, call),
      deleteRange: (request, call) => this.deleteRange(request, call),
      txn: (request, call) => this.txn(request, call),
      compact: (request, call) => this.compact(request, call),
    };
  }

  async range(request: RangeRequest, call: Call): Promise<RangeResponse> {
    const { host, header } = this.#ground;
    const options = { stale: request.serializable };
    const reading = await host.read(namespaceOf(this.#ground, call), queryOf(request), options);
    return { header: header(reading.revision), ...rangeResponse(reading) };
  }

  async put(request: PutRequest, call: Call): Promise<PutResponse> {
    const put = putOf(request);
    const { revision, results } = await commit(this.#ground, call, { apply: [put] }).catch(
      async (error: unknown) => {
        throw await this.#ofLonePut(put, error);
      },
    );
    return { header: this.#ground.header(revision), ...putResponse(results[0] as PutResult) };
  }

  async deleteRange(request: DeleteRangeRequest, call: Call): Promise<DeleteRangeResponse> {
    const operation = deleteOf(request);
    const apply = operation === null ? [] : [operation];
    const { revision, results } = await commit(this.#ground, call, { apply });
    const header = this.#ground.header(revision);
    const [result] = results;
    return result === undefined
      ? { header }
      : { header, ...deleteResponse(result as DeleteResult) };
  }

  async txn(request: TxnRequest, call: Call): Promise<TxnResponse> {
    const compacted = readsBelowZero(request) && (await this.#ground.engine.status()).compacted > 0;
    const outcome = await commit(this.#ground, call, txnOf(request, compacted));
    return {
      header: this.#ground.header(outcome.revision),
      succeeded: outcome.succeeded,
      responses: responsesOf(request, outcome),
    };
  }

  async compact(request: CompactionRequest, call: Call): Promise<{ header: object }> {
    const { engine, header, quota } = this.#ground;
    quota.admitChange(namespaceOf(this.#ground, call));
    const { revision, compacted } = await engine.status();
    const through = clamped(request.revision);
    // What was never compacted can be so at 0, where nothing was.
    if (through < 0 || (through <= compacted && compacted > 0)) throw etcdError('compacted');
    if (through > revision) throw etcdError('futureRevision');
    await engine.compact(through);
    return { header: header(revision) };
  }

  /** Of a put alone etcd looks at the lease first, of one in a transaction last. */
  async #ofLonePut({ lease = 0 }: PutOperation, error: unknown): Promise<unknown> {
    if (lease === 0 || !isWaymarkError(error, 'not_found')) return error;
    return (await this.#ground.host.lease(lease)) === null
      ? etcdError('leaseNotFound', error)
      : error;
  }
}
