import type { ByteString, KeyRange, Operation } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import { limits, wideLimits } from '../core/limits.js';
import { below, dataKey } from './layout.js';
import type { HostNamespace } from './namespace.js';
import { bytesToPath, checkCanonical, pathToBytes, resolvePath } from './paths.js';
import type { Call, DumpEntry, NamespaceDump } from './types.js';

const operationsPerCommit = 100;

/** Data that is at no path, and so below none: clients of etcd's API name keys as they like. */
const beside: readonly KeyRange[] = [
  { key: 'd\0', end: 'd/' },
  { key: 'd0', end: 'e' },
];

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
  const range = base === '' ? { key: dataKey('\0'), end: 'e' } : below('d', base);
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
  const puts = checkedEntries(dump);
  let { revision } = await ns.host.status({ signal });
  if (call.replace === true) ({ revision } = await empty(ns, { signal }));
  for (const apply of chunks(puts)) {
    ({ revision } = await ns.host.commit(ns.name, { apply }, { signal, wide: true }));
  }
  return { revision };
}

async function empty<T>(ns: HostNamespace<T>, call: Call): Promise<{ readonly revision: number }> {
  const emptied = await ns.deleteTree('', call);
  if (ns.path !== '/') return emptied;
  const apply = beside.map((range): Operation => ({ type: 'delete', ...range }));
  return await ns.host.commit(ns.name, { apply }, call);
}

function toDumpEntry(entry: { readonly key: string; readonly value: string }): DumpEntry {
  const value = Buffer.from(entry.value, 'latin1').toString('base64');
  const bytes = entry.key.slice(1);
  const path = pathOf(bytes);
  if (path !== null) return { path, value };
  return { key: Buffer.from(bytes, 'latin1').toString('base64'), value };
}

/** Null for bytes that are no path. */
function pathOf(bytes: ByteString): string | null {
  const path = bytesToPath(bytes);
  try {
    checkCanonical(path);
  } catch {
    return null;
  }
  return pathToBytes(path) === bytes ? path : null;
}

type Put = Operation & { readonly type: 'put' };

function checkedEntries(dump: NamespaceDump): Put[] {
  if (dump?.waymark !== 1 || !Array.isArray(dump.entries)) {
    throw new WaymarkError(
      'invalid',
      'this is no dump of a namespace: { waymark: 1, entries: […] } is expected',
    );
  }
  const seen = new Set<ByteString>();
  return dump.entries.map((entry: DumpEntry): Put => {
    const { key, shown } = named(entry);
    if (seen.has(key))
      throw new WaymarkError('invalid', `the dump holds ${shown} twice`, { path: shown });
    seen.add(key);
    const value = Buffer.from(entry.value, 'base64').toString('latin1');
    const max = wideLimits.valueBytesMax;
    if (value.length > max) {
      const facts = { path: shown, limit: 'valueBytesMax', max, actual: value.length };
      throw new WaymarkError('too_large', `the value of ${shown} is too large`, facts);
    }
    return { type: 'put', key, value };
  });
}

/** @throws {WaymarkError} `invalid`, `too_large` */
function named({ path, key }: DumpEntry): { readonly key: ByteString; readonly shown: string } {
  if (key === undefined) {
    const shown = resolvePath('/', path);
    return { key: dataKey(pathToBytes(shown)), shown };
  }
  const bytes = typeof key === 'string' ? Buffer.from(key, 'base64').toString('latin1') : '';
  if (bytes === '' || path !== undefined) {
    const text = 'an entry of a dump has a path, or the bytes of a key in base64';
    throw new WaymarkError('invalid', text);
  }
  const [max, actual] = [limits.keyBytesMax, bytes.length];
  if (actual > max) {
    const facts = { limit: 'keyBytesMax', max, actual };
    throw new WaymarkError('too_large', `a key of ${actual} bytes: at most ${max}`, facts);
  }
  return { key: dataKey(bytes), shown: `the key ${key}` };
}

function* chunks(puts: readonly Put[]): Generator<Operation[]> {
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
