import { createHash } from 'node:crypto';
import type { Position } from './records.js';

/**
 * An event's place in its stream. It is made of what never changes, whoever delivers and whatever else is registered meanwhile: the era of the
 * stream, the revision, and the change's place within it. So an event that is told twice has the same sequence both times, and no other
 * event ever has it; a number that counted deliveries would be given to another event after a watcher of the endpoint was removed.
 *
 * The place within a revision is the namespace's code, then the rank among the namespace's changes in the order of keys. A revision holds several namespaces
 * only on an engine that groups commits.
 */
const ranks = 10_000_000;
const codes = 1_000_000;
/** After all events of its revision. */
export const wholeRevision = ranks * codes;

const codeOf = new Map<string, number>();

/** @param rank  from 0, below ten million */
export function indexOf(namespace: string, rank: number): number {
  let code = codeOf.get(namespace);
  if (code === undefined) {
    const digest = createHash('sha256').update(namespace).digest();
    code = digest.readUIntBE(0, 6) % codes;
    if (codeOf.size > 10_000) codeOf.clear();
    codeOf.set(namespace, code);
  }
  return code * ranks + rank;
}

export function sequenceOf(era: number, { revision, index }: Position): string {
  const digits = (n: number, width: number): string => String(n).padStart(width, '0');
  return `${digits(era, 16)}-${digits(revision, 16)}-${digits(index, 13)}`;
}

export function isAfter(position: Position, other: Position): boolean {
  if (position.revision !== other.revision) return position.revision > other.revision;
  return position.index > other.index;
}
