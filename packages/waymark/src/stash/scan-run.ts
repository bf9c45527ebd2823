import type { ByteString } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import type { StashPage, StashVersion } from '../core/stash.js';
import { KeyHash, partitionCount } from './hash.js';
import type { NodePage } from './node.js';
import { Failures, isStale } from './outcome.js';
import { isNewer, Packer, Unpacker } from './packed.js';
import type { Routes } from './routes.js';

/**
 * One page of a scan (rule D3.6): partitions in their order, and the keys of each in theirs. Every replica that is asked tells of all its partitions from where the scan stands, as much as fits; what
 * all of them have told of is the page, of each key the newest version. It goes on after that, by partition and key, whichever nodes keep them then.
 */

/** Where a scan stands: before all keys of the partition, or after one of them. */
export interface ScanPlace {
  readonly partition: number;
  readonly after: ByteString | undefined;
}

export interface ScanParts {
  readonly routes: Routes;
  readonly index: string;
  /** In UTF-8. */
  readonly hash: KeyHash;
  readonly prefix: ByteString;
  readonly from: ScanPlace;
  readonly limit: number;
  readonly keysOnly: boolean;
  readonly deadlineMs: number;
  /** Reads packed keys by quorum: for records that are damaged. */
  readonly read: (keys: Uint8Array) => Promise<Uint8Array>;
}

interface FoundKey {
  readonly partition: number;
  readonly key: ByteString;
}

interface DamagedKey extends FoundKey {
  /** Whose record it is. */
  readonly link: number;
}

interface FoundEntry extends FoundKey {
  readonly version: StashVersion;
}

/** What one node told. */
interface NodeScanned {
  readonly entries: readonly FoundEntry[];
  readonly damaged: readonly DamagedKey[];
  /** It told of everything up to here; null: of all. */
  readonly upTo: FoundKey | null;
}

/** @throws {WaymarkError} `unavailable`, `superseded`, `corrupt` */
export async function scanPage(parts: ScanParts): Promise<StashPage> {
  const failed = new Set<number>();
  const failures = new Failures();
  for (;;) {
    const scanned = await askAll(parts, failed, failures);
    if (scanned !== null) return await pageOf(parts, scanned);
  }
}

/** @returns null when a node failed: the others are to be asked for its partitions */
async function askAll(
  parts: ScanParts,
  failed: Set<number>,
  failures: Failures,
): Promise<readonly NodeScanned[] | null> {
  const { routes } = parts;
  const wanted = [...shares(parts, failed, failures)];
  const answers = await Promise.allSettled(wanted.map(([link, bits]) => ask(parts, link, bits)));
  for (const [i, answer] of answers.entries()) {
    if (answer.status === 'fulfilled') continue;
    const [link] = wanted[i] as [number, Uint8Array];
    if (isStale(answer.reason)) throw answer.reason;
    failed.add(link);
    failures.add(routes.links[link]?.id ?? '', answer.reason);
  }
  const told = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  return told.length < answers.length ? null : told;
}

/** Which partitions each node is asked for: of every partition as many replicas as a read asks. */
function shares(
  { routes, from, index }: ScanParts,
  failed: ReadonlySet<number>,
  failures: Failures,
): Map<number, Uint8Array> {
  const shared = new Map<number, Uint8Array>();
  for (let partition = from.partition; partition < partitionCount; partition++) {
    let asked = 0;
    for (let rank = 0; rank < routes.replicas && asked < routes.readQuorum; rank++) {
      const link = routes.nearest(partition, rank);
      if (failed.has(link)) continue;
      const bits = shared.get(link) ?? new Uint8Array(partitionCount / 8);
      shared.set(link, bits);
      bits[partition >> 3] = (bits[partition >> 3] as number) | (1 << (partition & 7));
      asked++;
    }
    if (asked === routes.readQuorum) continue;
    const what = `too few replicas of a part of '${index}' answered: ${routes.readQuorum} of ${routes.replicas} are needed`;
    throw failures.refused(what);
  }
  return shared;
}

async function ask(
  { routes, index, hash, prefix, from, limit, keysOnly, deadlineMs }: ScanParts,
  link: number,
  partitions: Uint8Array,
): Promise<NodeScanned> {
  const { epoch } = routes;
  const first = (partitions[from.partition >> 3] as number) & (1 << (from.partition & 7));
  const after = first === 0 ? undefined : from.after;
  const asked = { epoch, index, partitions, prefix, after, limit, versionsOnly: keysOnly };
  const { links } = routes;
  const page = await (links[link] as (typeof links)[number]).run((node) =>
    node.scan(asked, { withinMs: deadlineMs }),
  );
  return readPage(page, hash, link);
}

function readPage({ entries, more }: NodePage, hash: KeyHash, link: number): NodeScanned {
  const unpacker = new Unpacker(entries);
  const found: FoundEntry[] = [];
  const damaged: DamagedKey[] = [];
  let last: FoundKey | null = null;
  while (!unpacker.done) {
    const key = unpacker.key();
    const version = unpacker.finding();
    last = { partition: hash.partition(key), key };
    if (version === 'damaged') damaged.push({ ...last, link });
    else if (version !== null) found.push({ ...last, version });
  }
  return { entries: found, damaged, upTo: more ? last : null };
}

async function pageOf(parts: ScanParts, scanned: readonly NodeScanned[]): Promise<StashPage> {
  const upTo = scanned
    .flatMap((node) => node.upTo ?? [])
    .reduce<FoundKey | null>((first, end) => {
      return first === null || compare(end, first) < 0 ? end : first;
    }, null);
  const within = (found: FoundKey): boolean => upTo === null || compare(found, upTo) <= 0;
  const newest = new Map<ByteString, FoundEntry>();
  for (const entry of scanned.flatMap(({ entries }) => entries).filter(within)) {
    const before = newest.get(entry.key);
    if (before === undefined || isNewer(entry.version, before.version)) {
      newest.set(entry.key, entry);
    }
  }
  const damaged = scanned.flatMap((node) => node.damaged).filter(within);
  for (const entry of await readAnew(parts, damaged)) newest.set(entry.key, entry);
  const all = [...newest.values()].filter(({ version }) => version.value !== null).sort(compare);
  const packer = new Packer();
  const taken = all.slice(0, parts.limit);
  for (const { key, version } of taken) packer.entry(key, version);
  const end = taken.length < all.length ? (taken.at(-1) ?? null) : upTo;
  return { entries: packer.take(), next: end === null ? null : formatPlace(end) };
}

/** What other replicas have of keys that one has damaged; it gets that back. */
async function readAnew(
  { read, keysOnly, routes, index }: ScanParts,
  damaged: readonly DamagedKey[],
): Promise<FoundEntry[]> {
  const found: FoundEntry[] = [];
  for (const { key, partition, link } of damaged) {
    const packer = new Packer();
    packer.key(key);
    const version = new Unpacker(await read(packer.take())).finding();
    if (version === null || version === 'damaged') continue;
    packer.entry(key, version);
    const ask = { epoch: routes.epoch, index, entries: packer.take() };
    // Nobody waits for it, as for the repairs of a read.
    routes.links[link]?.run((node) => node.write(ask)).catch(() => undefined);
    const value = keysOnly && version.value !== null ? new Uint8Array(0) : version.value;
    found.push({ key, partition, version: { ...version, value } });
  }
  return found;
}

function compare(a: FoundKey, b: FoundKey): number {
  if (a.partition !== b.partition) return a.partition - b.partition;
  return a.key < b.key ? -1 : a.key === b.key ? 0 : 1;
}

function formatPlace({ partition, key }: FoundKey): string {
  return `${partition}.${Buffer.from(key, 'latin1').toString('base64url')}`;
}

/** @throws {WaymarkError} `invalid` for what no page told */
export function parsePlace(text: string | undefined): ScanPlace {
  if (text === undefined) return { partition: 0, after: undefined };
  const [, digits = '', rest = ''] = /^(\d{1,4})\.([\w-]*)$/.exec(text) ?? [];
  const partition = digits === '' ? partitionCount : Number(digits);
  if (partition >= partitionCount) {
    throw new WaymarkError('invalid', 'a scan goes on after what a page told as its next');
  }
  return { partition, after: Buffer.from(rest, 'base64url').toString('latin1') };
}
