import type { Entry, KeyRange, Reading, Revision } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import { below, dataKey } from './layout.js';
import type { HostNamespace } from './namespace.js';
import { bytesToPath, pathToBytes, resolvePath } from './paths.js';
import type { ListCall, Page, PathEntry } from './types.js';

const pageMax = 1_000;

/** The path and all below it. Every page after the first should be read `at` the first one's revision. */
export async function listTree<T>(ns: HostNamespace<T>, path: string, call: ListCall): Promise<Page<PathEntry<T>>> {
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

/** Skips from one child's subtree to the next, so it costs the children and not what lies below them. */
export async function listChildren<T>(ns: HostNamespace<T>, path: string, call: ListCall): Promise<Page<string>> {
  const limit = limitOf(call);
  const { key: base, end } = below('d', pathToBytes(path));
  const children: string[] = [];
  const skip = call.after === undefined ? undefined : base + pathToBytes(`/${call.after}`).slice(1);
  let from = skip === undefined ? base : `${skip}\0`;
  let revision: Revision | undefined;
  for (;;) {
    const page = await read(ns, { key: from, end }, 1, call, revision);
    revision ??= call.at ?? page.revision;
    const [entry] = page.entries;
    if (entry === undefined) return { entries: children, more: false, revision };
    if (children.length >= limit) return { entries: children, more: true, revision };
    const rest = entry.key.slice(base.length);
    const slash = rest.indexOf('/');
    const child = slash < 0 ? rest : rest.slice(0, slash);
    if (base + child !== skip) pushOnce(children, bytesToPath(`/${child}`).slice(1));
    // Keys between `child` and `child/` (as `child!`) are other children: past the leaf come they, past its subtree the rest.
    from = slash < 0 ? `${base}${child}\0` : `${base}${child}0`;
  }
}

/** Paths with a value and no descendants. */
export async function listLeaves<T>(ns: HostNamespace<T>, path: string, call: ListCall): Promise<Page<string>> {
  const limit = limitOf(call);
  const leaves: string[] = [];
  let revision: Revision | undefined;
  for (const range of rangesAfter(path, call)) {
    for (let key = range.key; ; ) {
      const page = await read(ns, { key, end: range.end }, pageMax, call, revision);
      revision ??= call.at ?? page.revision;
      for (const entry of page.entries) {
        const first = await read(ns, below('d', entry.key.slice(1)), 1, call, revision);
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

function pushOnce(children: string[], child: string): void {
  if (children.at(-1) !== child && !children.includes(child)) children.push(child);
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
): Promise<Reading> {
  const query = { ...range, limit, uncounted: true, at: call.at ?? revision };
  return await ns.host.read(ns.name, query, { stale: call.stale, signal: call.signal });
}

function limitOf(call: ListCall): number {
  const { limit = pageMax } = call;
  if (Number.isInteger(limit) && limit >= 1 && limit <= pageMax) return limit;
  throw new WaymarkError('invalid', `limit is a whole number from 1 to ${pageMax}, not ${String(limit)}`);
}
