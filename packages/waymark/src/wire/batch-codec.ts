import type { Batch, Change, ChangeKind } from '../core/engine.js';
import { entryBytesMin, pick, readEntry, readList, writeEntry } from './query-codec.js';
import type { Reader } from './reader.js';
import { absent, none, present } from './txn-codec.js';
import type { Writer } from './writer.js';

/** How what a watch delivers lies on the wire. Append only. */
const kinds: readonly ChangeKind[] = ['put', 'delete', 'expire'];

export function writeChange(w: Writer, change: Change): void {
  const { previous } = change;
  const told = previous === undefined ? none : previous === null ? absent : present;
  w.byte(kinds.indexOf(change.kind) | told);
  writeEntry(w, change.entry);
  if (previous !== undefined && previous !== null) writeEntry(w, previous);
}

export function readChange(r: Reader): Change {
  const bits = r.byte();
  const kind = pick(kinds, bits & 3);
  const entry = readEntry(r);
  if ((bits & present) !== 0) return { kind, entry, previous: readEntry(r) };
  return (bits & absent) === 0 ? { kind, entry } : { kind, entry, previous: null };
}

export function readBatch(r: Reader): Batch {
  const revision = r.uint();
  return { revision, changes: readList(r, entryBytesMin + 1, readChange) };
}
