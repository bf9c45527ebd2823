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
  type ResponseOpSchema,
  type TxnRequest,
  type TxnResponseSchema,
} from 'waymark/etcd';
import {
  type DeleteResult,
  type OperationResult,
  type PutResult,
  type Reading,
  type Txn,
  WaymarkError,
} from 'waymark/engine';
import type { Call } from '../grpc/call.js';
import type { Service } from '../grpc/methods.js';
import { clamped, type KeyValueInit, keyValueOf } from './entries.js';
import { etcdError } from './errors.js';
import { type Ground, namespaceOf } from './ground.js';
import { deleteOf, putOf, queryOf, txnOf } from './txn-requests.js';

type RangeResponse = MessageInitShape<typeof RangeResponseSchema>;
type PutResponse = MessageInitShape<typeof PutResponseSchema>;
type DeleteRangeResponse = MessageInitShape<typeof DeleteRangeResponseSchema>;
type TxnResponse = MessageInitShape<typeof TxnResponseSchema>;
type ResponseOp = MessageInitShape<typeof ResponseOpSchema>;

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
    const query = queryOf(request);
    if (query === null) return { header: header((await host.status()).revision) };
    const reading = await host.read(namespaceOf(this.#ground, call), query, {
      stale: request.serializable,
    });
    return { header: header(reading.revision), ...rangeResponse(reading) };
  }

  async put(request: PutRequest, call: Call): Promise<PutResponse> {
    const { revision, results } = await this.#commit({ apply: [putOf(request)] }, call);
    return { header: this.#ground.header(revision), ...putResponse(results[0] as PutResult) };
  }

  async deleteRange(request: DeleteRangeRequest, call: Call): Promise<DeleteRangeResponse> {
    const operation = deleteOf(request);
    const apply = operation === null ? [] : [operation];
    const { revision, results } = await this.#commit({ apply }, call);
    const header = this.#ground.header(revision);
    const [result] = results;
    return result === undefined
      ? { header }
      : { header, ...deleteResponse(result as DeleteResult) };
  }

  async txn(request: TxnRequest, call: Call): Promise<TxnResponse> {
    const txn = txnOf(request);
    const outcome = await this.#commit(txn, call);
    return {
      header: this.#ground.header(outcome.revision),
      succeeded: outcome.succeeded,
      responses: this.#responses(request, outcome, outcome.revision),
    };
  }

  async compact(request: CompactionRequest, _call: Call): Promise<{ header: object }> {
    const { engine, header } = this.#ground;
    const { revision, compacted } = await engine.status();
    const through = clamped(request.revision);
    if (through <= compacted) throw etcdError('compacted');
    if (through > revision) throw etcdError('futureRevision');
    await engine.compact(through);
    return { header: header(revision) };
  }

  async #commit(txn: Txn, call: Call): ReturnType<Ground['host']['commit']> {
    const { host } = this.#ground;
    try {
      return await host.commit(namespaceOf(this.#ground, call), txn, { alone: true });
    } catch (error) {
      if (!(error instanceof WaymarkError)) throw error;
      // Whatever else could be wrong with it was looked at before.
      if (error.code === 'invalid') throw etcdError('duplicateKey', error);
      throw error;
    }
  }

  #responses(
    { success, failure }: TxnRequest,
    { succeeded, results }: { succeeded: boolean; results: readonly OperationResult[] },
    revision: number,
  ): ResponseOp[] {
    // Inside a transaction headers tell the revision alone.
    const header = { revision: BigInt(revision) };
    const requests = succeeded ? success : failure;
    return results.map((result, index): ResponseOp => {
      const request = requests[index]?.request;
      if (result.type === 'txn' && request?.case === 'requestTxn') {
        const responses = this.#responses(request.value, result, revision);
        const value = { header: {}, succeeded: result.succeeded, responses };
        return { response: { case: 'responseTxn', value } };
      }
      if (request?.case === 'requestDeleteRange') {
        const value = result.type === 'delete' ? deleteResponse(result) : {};
        return { response: { case: 'responseDeleteRange', value: { header, ...value } } };
      }
      if (result.type === 'put') {
        return { response: { case: 'responsePut', value: { header, ...putResponse(result) } } };
      }
      if (result.type !== 'read') throw new WaymarkError('internal', 'an answer of another kind');
      const value = { header, ...rangeResponse(result.reading) };
      return { response: { case: 'responseRange', value } };
    });
  }
}

interface RangeParts {
  kvs: KeyValueInit[];
  more: boolean;
  count: bigint;
}

function rangeResponse({ entries, more, count }: Reading): RangeParts {
  return { kvs: entries.map(keyValueOf), more, count: BigInt(count) };
}

function putResponse({ previous }: PutResult): { prevKv?: KeyValueInit } {
  return previous === undefined || previous === null ? {} : { prevKv: keyValueOf(previous) };
}

function deleteResponse({ deleted, previous = [] }: DeleteResult): {
  deleted: bigint;
  prevKvs: KeyValueInit[];
} {
  return { deleted: BigInt(deleted), prevKvs: previous.map(keyValueOf) };
}
