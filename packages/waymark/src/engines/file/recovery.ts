import type { Keyspace } from '../kit/keyspace.js';
import type { Disk } from './disk.js';
import { corrupt, type Header, readFrames, readHeader } from './frames.js';
import { type FileRecord, readRecords } from './records.js';

export function logName(number: number): string {
  return `log-${String(number).padStart(10, '0')}`;
}

export function snapshotName(number: number): string {
  return `snapshot-${String(number).padStart(10, '0')}`;
}

/** The numbers of the files of one kind, ascending. Snapshot n holds the state before log n. */
export function numbersOf(names: readonly string[], kind: 'log' | 'snapshot'): number[] {
  return names
    .map((name) => new RegExp(`^${kind}-(\\d{10})$`).exec(name)?.[1])
    .filter((digits) => digits !== undefined)
    .map(Number)
    .sort((a, b) => a - b);
}

export interface Recovered {
  /** The newest log, to be appended to: its number, salt, where its good part ends, and its next sequence. */
  readonly log: { number: number; salt: number; end: number; sequence: number } | null;
  readonly identity: string | null;
  readonly snapshotBytes: number;
}

export type Told = (message: string) => void;

/** Loads the newest snapshot and replays the logs from it on. @throws {WaymarkError} `corrupt`, `invalid` */
export async function recover(disk: Disk, keyspace: () => Keyspace, told: Told): Promise<Recovered & { keyspace: Keyspace }> {
  const names = await disk.list();
  for (const name of names) if (name.endsWith('.tmp')) await disk.remove(name);
  const snapshot = numbersOf(names, 'snapshot').at(-1) ?? null;
  const first = snapshot ?? 1;
  const logs = numbersOf(names, 'log').filter((number) => number >= first);
  const state = keyspace();
  let identity: string | null = null;
  let snapshotBytes = 0;
  if (snapshot !== null) ({ identity, bytes: snapshotBytes } = await loadSnapshot(disk, snapshot, state));
  let log: Recovered['log'] = null;
  for (const [i, number] of logs.entries()) {
    if (number !== first + i) throw corrupt(logName(first + i), 0, 'it is missing between the others');
    const replayed = await replayLog(disk, number, i === logs.length - 1, state, told);
    identity ??= replayed.identity;
    log = replayed.log;
  }
  return { keyspace: state, log, identity, snapshotBytes };
}

/** Every record of a file with where it stands, for recovery and for `waymark inspect`. */
export async function* recordsOf(
  disk: Disk,
  name: string,
): AsyncGenerator<{ offset: number; record: FileRecord }, { header: Header | null; end: number; torn: boolean; frames: number }> {
  const file = await disk.open(name, 'read');
  try {
    const header = await readHeader(file, name);
    if (header === null) return { header, end: 0, torn: true, frames: 0 };
    const frames = readFrames(file, name, header.salt);
    for (let count = 0; ; count++) {
      const step = await frames.next();
      if (step.done === true) return { header, ...step.value, frames: count };
      for (const record of readRecords(step.value.payload)) yield { offset: step.value.offset, record };
    }
  } finally {
    await file.close();
  }
}

async function loadSnapshot(
  disk: Disk,
  number: number,
  state: Keyspace,
): Promise<{ identity: string; bytes: number }> {
  const name = snapshotName(number);
  const records = recordsOf(disk, name);
  let identity: string | null = null;
  let revision = 0;
  let entries = 0;
  let whole = false;
  for (;;) {
    const step = await records.next();
    if (step.done === true) {
      if (step.value.torn || !whole || identity === null) throw corrupt(name, step.value.end, 'the snapshot is cut short');
      state.restoreRevision(revision);
      return { identity, bytes: step.value.end };
    }
    const { record } = step.value;
    if (record.type === 'begin') ({ identity, revision } = record);
    else if (record.type === 'grant') state.replay(record);
    else if (record.type === 'entry') {
      state.restoreEntry(record.entry);
      entries++;
    } else if (record.type === 'finish') whole = record.entries === entries;
  }
}

async function replayLog(
  disk: Disk,
  number: number,
  last: boolean,
  state: Keyspace,
  told: Told,
): Promise<{ log: NonNullable<Recovered['log']>; identity: string | null }> {
  const name = logName(number);
  const records = recordsOf(disk, name);
  let identity: string | null = null;
  for (let count = 1; ; count++) {
    const step = await records.next();
    if (step.done !== true) {
      const { record, offset } = step.value;
      if (record.type === 'begin') identity = record.identity;
      else if (record.type === 'entry' || record.type === 'finish') throw corrupt(name, offset, 'a record of a snapshot');
      else state.replay(record);
      if (count % 1_000_000 === 0) told(`replaying ${name}: ${count} records, revision ${state.head}`);
      continue;
    }
    const { header, end, torn, frames } = step.value;
    if (torn && !last) throw corrupt(name, end, 'it is cut short, and a later log exists');
    if (torn) await cut(disk, name, end, told);
    return { log: { number, salt: header?.salt ?? 0, end, sequence: frames + 1 }, identity };
  }
}

/** What a crash cut short was never acknowledged. */
async function cut(disk: Disk, name: string, end: number, told: Told): Promise<void> {
  const file = await disk.open(name, 'lazy');
  const lost = file.size - end;
  await file.truncate(end);
  await file.sync();
  await file.close();
  told(`${name}: cut ${lost} bytes at ${end}, a write that a crash had cut short`);
}

