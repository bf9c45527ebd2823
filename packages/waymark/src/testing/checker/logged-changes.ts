import type { CommitCall, CommitInput, LoggedChange } from './commit-history.js';

/** Changes of a log, compared with what calls say they wrote. */

export function sameChanges(one: readonly LoggedChange[], two: readonly LoggedChange[]): boolean {
  return one.length === two.length && JSON.stringify(inOrder(one)) === JSON.stringify(inOrder(two));
}

function inOrder(changes: readonly LoggedChange[]): unknown[] {
  return changes.map(rowOf).sort((a, b) => ((a[0] as string) < (b[0] as string) ? -1 : 1));
}

function rowOf({ key, kind, value, version, createRevision }: LoggedChange): unknown[] {
  return [key, kind, value, version, createRevision];
}

export function without(
  changes: readonly LoggedChange[],
  gone: readonly LoggedChange[],
): readonly LoggedChange[] {
  const rows = new Set(gone.map((change) => JSON.stringify(rowOf(change))));
  return changes.filter((change) => !rows.has(JSON.stringify(rowOf(change))));
}

export function touchedBy({ when = [], apply, otherwise = [] }: CommitInput): string[] {
  return [...when, ...apply, ...otherwise].map(({ key }) => key);
}

export function writesOf({ apply, otherwise = [] }: CommitInput): Set<string> {
  const writes = [...apply, ...otherwise].filter(({ op }) => op !== 'get');
  return new Set(writes.map(({ key }) => key));
}

export function mark(key: string, value: string | undefined): string {
  return value === undefined ? `delete ${key}` : `put ${key} ${value}`;
}

export function show(call: CommitCall): string {
  return `client ${call.client} [${call.call}..${call.ret}] ${JSON.stringify(call.input)}`;
}
