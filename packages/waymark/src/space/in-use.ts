import type { ByteString, Revision } from '../core/engine.js';
import type { Host } from '../core/host.js';
import { limitOf } from './facet-pages.js';
import { electionFacet } from './layout.js';
import { bytesToPath, checkNamespaceName, pathToBytes, resolvePath } from './paths.js';
import type { ListCall, Page } from './types.js';

/** What may stand at a path beside its value. */
export type UseKind = 'locks' | 'elections' | 'semaphores' | 'names' | 'groups' | 'logs';

/** Where each keeps something as long as it is in use, be it by those who wait. A semaphore has a limit, a log a head. */
const facetsOf: Readonly<Record<UseKind, readonly ByteString[]>> = {
  locks: ['h', 'x', 's'],
  elections: [`${electionFacet}h`, `${electionFacet}x`],
  semaphores: ['pl'],
  names: ['k'],
  groups: ['g'],
  logs: ['l'],
};

/**
 * The paths at and below one at which something of a kind is: locks and elections that somebody holds or waits for, groups with members; semaphores,
 * names and logs until they are forgotten. In the order of paths' bytes, a page at a time.
 *
 * It seeks from each path to the next, so it costs the paths told and not what is kept at them.
 *
 * @throws {WaymarkError} `invalid` for a limit beyond 1 to 1 000
 */
export async function pathsInUse(
  { host, namespace }: { readonly host: Host; readonly namespace: string },
  kind: UseKind,
  path: string,
  call: ListCall = {},
): Promise<Page<string>> {
  checkNamespaceName(namespace);
  const limit = limitOf(call);
  const at = pathToBytes(resolvePath('/', path));
  const { after, signal } = call;
  let last = after === undefined ? null : pathToBytes(resolvePath(path, after));
  let revision: Revision | undefined = call.at;
  const seek = async (key: ByteString, end: ByteString): Promise<ByteString | null> => {
    const query = { key, end, limit: 1, keysOnly: true, uncounted: true, at: revision };
    const reading = await host.read(namespace, query, { signal });
    revision ??= reading.revision;
    return reading.entries[0]?.key ?? null;
  };
  const entries: string[] = [];
  for (;;) {
    const next = await nextOf(facetsOf[kind], at, last, seek);
    const told = { entries, revision: revision ?? 0 };
    if (next === null) return { ...told, more: false };
    if (entries.length >= limit) return { ...told, more: true };
    entries.push(bytesToPath(next));
    last = next;
  }
}

/** The least path above `last` that any facet tells of. What stands at a path is its key, and that with a tail after a NUL. */
async function nextOf(
  facets: readonly ByteString[],
  at: ByteString,
  last: ByteString | null,
  seek: (key: ByteString, end: ByteString) => Promise<ByteString | null>,
): Promise<ByteString | null> {
  let least: ByteString | null = null;
  for (const facet of facets) {
    const from = last === null ? '' : `${facet}${last}\x01`;
    for (const [key, end] of [
      [`${facet}${at}`, `${facet}${at}\x01`],
      [`${facet}${at}/`, `${facet}${at}0`],
    ] as const) {
      if (from >= end) continue;
      const found = await seek(key < from ? from : key, end);
      if (found === null) continue;
      const [bytes = ''] = found.slice(facet.length).split('\0', 1);
      if (least === null || bytes < least) least = bytes;
      break;
    }
  }
  return least;
}
