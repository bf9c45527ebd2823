import type { Check, Operation, OperationResult, Outcome, Txn } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import { encodeValue } from './codecs.js';
import { below, dataKey } from './layout.js';
import type { HostNamespace } from './namespace.js';
import type { TxnCall, TxnCheck, TxnOperation, TxnOutcome, TxnResult } from './types.js';

interface WrittenPath {
  readonly path: string;
  readonly tree: boolean;
}

/** A transaction in paths and values, as the engine's in keys and bytes. */
export function toTxn<T>(
  ns: HostNamespace<T>,
  call: TxnCall,
): { txn: Txn; written: WrittenPath[] } {
  const written: WrittenPath[] = [];
  const operations = (list: readonly TxnOperation[] | undefined): Operation[] =>
    (list ?? []).flatMap((operation) => toOperations(ns, operation, written));
  const when = (call.when ?? []).map((check) => toCheck(ns, check));
  return {
    txn: { when, apply: operations(call.apply), otherwise: operations(call.otherwise) },
    written,
  };
}

export function toTxnResults<T>(
  ns: HostNamespace<T>,
  call: TxnCall,
  outcome: Outcome,
): TxnOutcome<T> {
  const asked = (outcome.succeeded ? call.apply : call.otherwise) ?? [];
  const answers = outcome.results[Symbol.iterator]();
  const take = (): OperationResult => answers.next().value as OperationResult;
  const results = asked.map((operation): TxnResult<T> => {
    if ('put' in operation) return (take(), { type: 'put' });
    if ('get' in operation) {
      const result = take();
      const entry = result.type === 'read' ? result.reading.entries[0] : undefined;
      return { type: 'get', entry: entry === undefined ? null : ns.toEntry(entry) };
    }
    const parts = operation.tree === true ? [take(), take()] : [take()];
    const counts = parts.map((part) => (part.type === 'delete' ? part.deleted : 0));
    return { type: 'delete', deleted: counts.reduce((sum, count) => sum + count, 0) };
  });
  return { succeeded: outcome.succeeded, revision: outcome.revision, results };
}

function toOperations<T>(
  ns: HostNamespace<T>,
  operation: TxnOperation,
  written: WrittenPath[],
): Operation[] {
  if ('put' in operation) {
    const path = ns.resolve(operation.put);
    written.push({ path, tree: false });
    const value = encodeValue(ns.codec, path, operation.value as T);
    return [{ type: 'put', key: dataKey(ns.bytes(path)), value, lease: operation.lease }];
  }
  if ('get' in operation) return [{ type: 'read', key: dataKey(ns.bytes(operation.get)) }];
  if (!('delete' in operation)) {
    throw new WaymarkError(
      'invalid',
      'an operation of a txn is one of { put, value }, { delete }, { get }',
    );
  }
  const tree = operation.tree === true;
  const path = ns.resolve(operation.delete);
  const bytes = ns.bytes(path);
  written.push({ path, tree });
  const own: Operation = { type: 'delete', key: dataKey(bytes) };
  return tree ? [own, { type: 'delete', ...below('d', bytes) }] : [own];
}

function toCheck<T>(ns: HostNamespace<T>, check: TxnCheck): Check {
  const path = ns.resolve(check.path);
  const key = dataKey(ns.bytes(path));
  if ('revision' in check) return { key, target: 'mod', is: '=', to: check.revision };
  if ('exists' in check) return { key, target: 'version', is: check.exists ? '>' : '=', to: 0 };
  if (!('value' in check)) {
    throw new WaymarkError(
      'invalid',
      'a check of a txn has one of { revision }, { exists }, { value }',
    );
  }
  return { key, target: 'value', is: '=', to: encodeValue(ns.codec, path, check.value as T) };
}
