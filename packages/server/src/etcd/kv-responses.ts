import type { MessageInitShape, ResponseOpSchema, TxnRequest } from 'waymark/etcd';
import {
  type DeleteResult,
  type OperationResult,
  type Outcome,
  type PutResult,
  type Reading,
  WaymarkError,
} from 'waymark/engine';
import { type KeyValueInit, keyValueOf } from './entries.js';

/** What the engine answers, as etcd's clients are told it. Headers are added where the whole answer is put together. */

type ResponseOp = MessageInitShape<typeof ResponseOpSchema>;

export interface RangeParts {
  kvs: KeyValueInit[];
  more: boolean;
  count: bigint;
}

export function rangeResponse({ entries, more, count }: Reading): RangeParts {
  return { kvs: entries.map(keyValueOf), more, count: BigInt(count) };
}

export function putResponse({ previous }: PutResult): { prevKv?: KeyValueInit } {
  return previous === undefined || previous === null ? {} : { prevKv: keyValueOf(previous) };
}

export function deleteResponse({ deleted, previous = [] }: DeleteResult): {
  deleted: bigint;
  prevKvs: KeyValueInit[];
} {
  return { deleted: BigInt(deleted), prevKvs: previous.map(keyValueOf) };
}

/** Of a transaction, operation by operation. */
export function responsesOf(request: TxnRequest, outcome: Outcome): ResponseOp[] {
  const { revision, results } = outcome;
  return new Responses(results.some(changes) ? revision - 1 : revision).of(request, outcome);
}

type Ran = Pick<Outcome, 'succeeded' | 'results'>;

/** In its answer each operation has the revision that etcd had come to with it: the next one from the first change on. */
class Responses {
  #revision: number;
  #changed = false;

  constructor(before: number) {
    this.#revision = before;
  }

  of({ success, failure }: TxnRequest, { succeeded, results }: Ran): ResponseOp[] {
    const requests = succeeded ? success : failure;
    return results.map((result, index) => {
      const request = requests[index]?.request;
      if (request?.case === 'requestTxn') return this.#nested(request.value, result);
      if (!this.#changed && changes(result)) {
        this.#changed = true;
        this.#revision++;
      }
      return this.#one(request?.case, result);
    });
  }

  #nested(request: TxnRequest, result: OperationResult): ResponseOp {
    if (result.type !== 'txn') throw mismatch();
    const responses = this.of(request, result);
    const value = { header: {}, succeeded: result.succeeded, responses };
    return { response: { case: 'responseTxn', value } };
  }

  #one(asked: string | undefined, result: OperationResult): ResponseOp {
    const header = { revision: BigInt(this.#revision) };
    // What deletes nothing, for nothing is in its range, was sent to the engine as a read.
    if (asked === 'requestDeleteRange') {
      const value = result.type === 'delete' ? deleteResponse(result) : {};
      return { response: { case: 'responseDeleteRange', value: { header, ...value } } };
    }
    if (result.type === 'put') {
      return { response: { case: 'responsePut', value: { header, ...putResponse(result) } } };
    }
    if (result.type !== 'read') throw mismatch();
    const value = { header, ...rangeResponse(result.reading) };
    return { response: { case: 'responseRange', value } };
  }
}

function changes(result: OperationResult): boolean {
  if (result.type === 'txn') return result.results.some(changes);
  return result.type === 'put' || (result.type === 'delete' && result.deleted > 0);
}

function mismatch(): WaymarkError {
  return new WaymarkError('internal', 'an operation is answered by a result of its kind');
}
