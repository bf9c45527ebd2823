import type { Engine, KeyRange } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import { MirrorCopy } from './mirror-copy.js';

/** A page is so many entries at first, then about so many bytes. */
const pageFirst = 256;
const pageMax = 1_000;
const pageBytes = 1_048_576;

/**
 * Reads a range as of one revision, a page at a time.
 *
 * @throws {WaymarkError} `too_large` beyond `bytesMax`, naming no limit; `compacted` when history went on too fast; what the engine throws
 */
export async function readCopy(
  engine: Engine,
  range: KeyRange,
  { bytesMax, signal }: { readonly bytesMax: number; readonly signal: AbortSignal },
): Promise<MirrorCopy> {
  let limit = pageFirst;
  const first = await engine.read({ ...range, limit, uncounted: true }, { signal });
  const copy = new MirrorCopy(first.revision);
  for (let page = first; ;) {
    const before = copy.bytes;
    for (const entry of page.entries) copy.add(entry);
    refuseBeyond(copy, bytesMax);
    const last = page.entries.at(-1);
    if (!page.more || last === undefined) return copy;
    const entryBytes = (copy.bytes - before) / page.entries.length;
    limit = Math.max(1, Math.min(pageMax, Math.floor(pageBytes / entryBytes)));
    // The NUL behind it makes the least key that is greater.
    const rest = { ...range, key: `${last.key}\0`, limit, uncounted: true, at: first.revision };
    page = await engine.read(rest, { signal });
  }
}

/** @throws {WaymarkError} `too_large` */
export function refuseBeyond({ bytes }: MirrorCopy, bytesMax: number): void {
  if (bytes <= bytesMax) return;
  const text = `the mirror would take more than ${bytesMax} bytes: give it more, or a smaller range`;
  throw new WaymarkError('too_large', text, { max: bytesMax, actual: bytes });
}
