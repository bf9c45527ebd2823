import type { Operation } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import { limits, wideLimits } from '../core/limits.js';
import { below, dataKey } from './layout.js';
import type { HostNamespace } from './namespace.js';
import { bytesToPath, pathToBytes, resolvePath } from './paths.js';
import type { Call, DumpEntry, NamespaceDump } from './types.js';

const operationsPerCommit = 100;

/** The data below the view, at one revision; leases, locks and history are not part of it. */
export async function dumpNamespace<T>(ns: HostNamespace<T>, call: Call): Promise<NamespaceDump> {
  const { signal } = call;
  const base = pathToBytes(ns.path);
  const { revision, entries: own } = await ns.host.read(
    ns.name,
    { key: dataKey(base) },
    { signal },
  );
  const entries: DumpEntry[] = own.map(toDumpEntry);
  const range = below('d', base);
  for (let key = range.key; ;) {
    const query = { key, end: range.end, at: revision, limit: 1_000, uncounted: true };
    const page = await ns.host.read(ns.name, query, { signal });
    entries.push(...page.entries.map(toDumpEntry));
    const last = page.entries.at(-1);
    if (!page.more || last === undefined) break;
    key = `${last.key}\0`;
  }
  return { waymark: 1, namespace: ns.name, revision, entries };
}

/** Checks the whole dump before the first write; writes in commits of many entries, so it is not one revision. */
export async function loadNamespace<T>(
  ns: HostNamespace<T>,
  dump: NamespaceDump,
  call: Call & { readonly replace?: boolean },
): Promise<{ readonly revision: number }> {
  const { signal } = call;
  const puts = checkedEntries(dump).map(({ path, value }): Operation & { type: 'put' } => ({
    type: 'put',
    key: dataKey(pathToBytes(path)),
    value,
  }));
  let { revision } = await ns.host.status({ signal });
  if (call.replace === true) ({ revision } = await ns.deleteTree('', { signal }));
  for (const apply of chunks(puts)) {
    ({ revision } = await ns.host.commit(ns.name, { apply }, { signal, wide: true }));
  }
  return { revision };
}

function toDumpEntry(entry: { readonly key: string; readonly value: string }): DumpEntry {
  const value = Buffer.from(entry.value, 'latin1').toString('base64');
  return { path: bytesToPath(entry.key.slice(1)), value };
}

function checkedEntries(dump: NamespaceDump): { path: string; value: string }[] {
  if (dump?.waymark !== 1 || !Array.isArray(dump.entries)) {
    throw new WaymarkError(
      'invalid',
      'this is no dump of a namespace: { waymark: 1, entries: […] } is expected',
    );
  }
  const seen = new Set<string>();
  return dump.entries.map((entry: DumpEntry) => {
    const path = resolvePath('/', entry.path);
    if (seen.has(path)) throw new WaymarkError('invalid', `the dump holds ${path} twice`, { path });
    seen.add(path);
    const value = Buffer.from(entry.value, 'base64').toString('latin1');
    if (value.length > wideLimits.valueBytesMax) {
      const facts = {
        path,
        limit: 'valueBytesMax',
        max: wideLimits.valueBytesMax,
        actual: value.length,
      };
      throw new WaymarkError('too_large', `the value of ${path} is too large`, facts);
    }
    return { path, value };
  });
}

function* chunks(puts: readonly (Operation & { type: 'put' })[]): Generator<Operation[]> {
  let chunk: Operation[] = [];
  let bytes = 0;
  for (const put of puts) {
    const size = put.key.length + put.value.length;
    if (
      chunk.length >= operationsPerCommit ||
      (chunk.length > 0 && bytes + size > limits.valueBytesMax)
    ) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push(put);
    bytes += size;
  }
  if (chunk.length > 0) yield chunk;
}
