/** A file under this ending is being written: worth nothing until it is renamed. */
export const temporary = '.tmp';
/** How far the log reached when it was last closed. */
export const markName = 'closed';

export function logName(number: number): string {
  return `log-${String(number).padStart(10, '0')}`;
}

export function snapshotName(number: number): string {
  return `snapshot-${String(number).padStart(10, '0')}`;
}

/** The numbers of the files of one kind, ascending. Snapshot n holds the state before log n. */
export function numbersOf(names: readonly string[], kind: 'log' | 'snapshot'): number[] {
  const pattern = new RegExp(`^${kind}-(\\d{10})$`);
  return names
    .map((name) => pattern.exec(name)?.[1])
    .filter((digits) => digits !== undefined)
    .map(Number)
    .sort((a, b) => a - b);
}
