import type { ByteString, Entry, KeyRange, Reading, Revision } from '../core/engine.js';
import { limitOf } from './facet-pages.js';
import { below, dataKey } from './layout.js';
import type { HostNamespace } from './namespace.js';
import { bytesToPath, pathToBytes, resolvePath } from './paths.js';
import type { ListCall, Page, PathEntry } from './types.js';

const pageMax = 1_000;

/** The path and all below it. Every page after the first should be read `at` the first one's revision. */
export async function listTree<T>(
  ns: HostNamespace<T>,
  path: string,
  call: ListCall,
): Promise<Page<PathEntry<T>>> {
  const limit = limitOf(call);
  const entries: Entry[] = [];
  let more = false;
  let revision: Revision | undefined;
  for (const range of rangesAfter(path, call)) {
    const page = await read(ns, range, limit - entries.length, call, revision);
    revision ??= call.at ?? page.revision;
    entries.push(...page.entries);
    more = page.more;
    if (entries.length >= limit) break;
  }
  return { entries: entries.map((entry) => ns.toEntry(entry)), more, revision: revision ?? 0 };
}

/** Seeks from one child to the next, so it costs the children and not what lies below them. */
export async function listChildren<T>(
  ns: HostNamespace<T>,
  path: string,
  call: ListCall,
): Promise<Page<string>> {
  const limit = limitOf(call);
  const base = below('d', pathToBytes(path)).key;
  const { revision } = await readKeys(ns, { key: base }, 1, call, undefined);
  const at = call.at ?? revision;
  const children: string[] = [];
  let last = call.after === undefined ? null : pathToBytes(`/${call.after}`).slice(1);
  for (;;) {
    const child = await nextChild(ns, base, last, call, at);
    if (child === null) return { entries: children, more: false, revision: at };
    if (children.length >= limit) return { entries: children, more: true, revision: at };
    children.push(bytesToPath(`/${child}`).slice(1));
    last = child;
  }
}

/**
 * The least name above `last`. Keys are not in the order of names: `b!` stands before `b/x`, because `!` sorts before the slash. So
 * where a name was found, each shorter one that it hides is looked for: `b`, when nothing but its descendants tells of it.
 */
async function nextChild<T>(
  ns: HostNamespace<T>,
  base: ByteString,
  last: ByteString | null,
  call: ListCall,
  at: Revision,
): Promise<ByteString | null> {
  const end = `${base.slice(0, -1)}0`;
  let from = last === null ? base : `${base}${last}\0`;
  for (;;) {
    const [entry] = (await readKeys(ns, { key: from, end }, 1, call, at)).entries;
    if (entry === undefined) return null;
    const rest = entry.key.slice(base.length);
    const name = rest.split('/', 1)[0] as string;
    if (last !== null && name <= last) {
      from = `${base}${name}0`;
      continue;
    }
    for (let length = 1; length < name.length; length++) {
      const shorter = name.slice(0, length);
      if ((name[length] as string) >= '/' || (last !== null && shorter <= last)) continue;
      const hidden = await readKeys(ns, below('', `${base}${shorter}`), 1, call, at);
      if (hidden.entries.length > 0) return shorter;
    }
    return name;
  }
}

/** Paths with a value and no descendants. */
export async function listLeaves<T>(
  ns: HostNamespace<T>,
  path: string,
  call: ListCall,
): Promise<Page<string>> {
  const limit = limitOf(call);
  const leaves: string[] = [];
  let revision: Revision | undefined;
  for (const range of rangesAfter(path, call)) {
    for (let key = range.key; ;) {
      const page = await readKeys(ns, { key, end: range.end }, pageMax, call, revision);
      revision ??= call.at ?? page.revision;
      for (const entry of page.entries) {
        const first = await readKeys(ns, below('d', entry.key.slice(1)), 1, call, revision);
        if (first.entries.length > 0) continue;
        if (leaves.length >= limit) return { entries: leaves, more: true, revision };
        leaves.push(bytesToPath(entry.key.slice(1)));
      }
      const last = page.entries.at(-1);
      if (!page.more || last === undefined) break;
      key = `${last.key}\0`;
    }
  }
  return { entries: leaves, more: false, revision: revision ?? 0 };
}

/** The path itself and what is below it, without what `call.after` names and all before it. */
function rangesAfter(path: string, call: ListCall): KeyRange[] {
  const bytes = pathToBytes(path);
  const all = below('d', bytes);
  if (call.after === undefined) return [{ key: dataKey(bytes) }, all];
  const after = dataKey(pathToBytes(resolvePath(path, call.after)));
  return [after < all.key ? all : { key: `${after}\0`, end: all.end }];
}

async function read<T>(
  ns: HostNamespace<T>,
  range: KeyRange,
  limit: number,
  call: ListCall,
  revision: Revision | undefined,
  keysOnly = false,
): Promise<Reading> {
  const query = { ...range, limit, keysOnly, uncounted: true, at: call.at ?? revision };
  return await ns.host.read(ns.name, query, { stale: call.stale, signal: call.signal });
}

async function readKeys<T>(
  ns: HostNamespace<T>,
  range: KeyRange,
  limit: number,
  call: ListCall,
  revision: Revision | undefined,
): Promise<Reading> {
  return await read(ns, range, limit, call, revision, true);
}
