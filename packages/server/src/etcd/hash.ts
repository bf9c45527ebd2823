import type { Clock, Entry, Host, Revision } from 'waymark/engine';
import { crc32c } from './crc32c.js';

const pageSize = 500;
/** etcd's keys of a namespace: key-area.ts. */
const data = { key: 'd', end: 'e' };

/**
 * A CRC-32C of what a namespace holds at a revision: its keys in their order, each with its value, revisions, version and lease. Servers of one
 * engine agree on it.
 */
export async function hashOf(
  { host, clock }: { readonly host: Host; readonly clock: Clock },
  namespace: string,
  at: Revision,
  options: { readonly signal: AbortSignal },
): Promise<number> {
  let crc = 0;
  for (let { key } = data; ;) {
    const query = { ...data, key, at, limit: pageSize, uncounted: true };
    const page = await host.read(namespace, query, options);
    for (const entry of page.entries) crc = withEntry(crc, entry);
    const last = page.entries.at(-1);
    if (!page.more || last === undefined) return crc;
    key = `${last.key}\0`;
    // Others are served between two pages.
    await new Promise<void>((resolve) => clock.nextTurn(resolve));
  }
}

function withEntry(before: number, entry: Entry): number {
  const { key, value, createRevision, modRevision, version, lease } = entry;
  const facts = [key.length, value.length, createRevision, modRevision, version, lease];
  const head = Buffer.from(BigInt64Array.from(facts.map(BigInt)).buffer);
  return crc32c(Buffer.from(key + value, 'latin1'), crc32c(head, before));
}
