import { KeyHash, Packer, type StashFinding, Unpacker } from 'waymark/stash';

/** Batches for tests: keys are byte strings, values texts. */
export interface Entry {
  readonly key: string;
  readonly stamp: number;
  readonly writer: number;
  readonly expiresAt: number;
  readonly value: string | null;
}

export function packEntries(entries: readonly Entry[]): Uint8Array {
  const packer = new Packer();
  for (const { key, value, ...version } of entries) {
    packer.entry(key, { ...version, value: value === null ? null : Buffer.from(value) });
  }
  return packer.take();
}

export function packKeys(keys: readonly string[]): Uint8Array {
  const packer = new Packer();
  for (const key of keys) packer.key(key);
  return packer.take();
}

export type Found = Omit<Entry, 'key'> | null | 'damaged';

export function findingsOf(packed: Uint8Array): Found[] {
  const unpacker = new Unpacker(packed);
  const found: Found[] = [];
  while (!unpacker.done) found.push(shown(unpacker.finding()));
  return found;
}

export function entriesOf(packed: Uint8Array): { readonly key: string; readonly found: Found }[] {
  const unpacker = new Unpacker(packed);
  const found: { readonly key: string; readonly found: Found }[] = [];
  while (!unpacker.done) found.push({ key: unpacker.key(), found: shown(unpacker.finding()) });
  return found;
}

function shown(finding: StashFinding): Found {
  if (finding === null || finding === 'damaged') return finding;
  const { value, ...version } = finding;
  return { ...version, value: value === null ? null : Buffer.from(value).toString() };
}

export function partitionOf(index: string, key: string): number {
  return new KeyHash(index).partition(key);
}

/** As scans ask for partitions. */
export function bitsOf(partitions: Iterable<number>): Uint8Array {
  const bits = new Uint8Array(512);
  for (const one of partitions) bits[one >> 3] = (bits[one >> 3] as number) | (1 << (one & 7));
  return bits;
}
