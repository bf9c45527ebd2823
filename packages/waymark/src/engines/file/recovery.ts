import type { Keyspace } from '../kit/keyspace.js';
import type { Disk } from './disk.js';
import {
  corrupt,
  type FileKind,
  type FramesEnd,
  type Header,
  readFrames,
  readHeader,
} from './frames.js';
import { logName, markName, numbersOf, snapshotName, temporary } from './names.js';
import { type BeginRecord, type FileRecord, readRecords } from './records.js';

export type Told = (message: string) => void;

export interface RecoveredLog {
  readonly number: number;
  readonly salt: number;
  /** Where its good part ends. */
  readonly end: number;
  /** Of the next frame. */
  readonly sequence: number;
}

export interface Recovered {
  /** The newest log, to be appended to; null in a new directory. */
  readonly log: RecoveredLog | null;
  readonly identity: string | null;
  readonly epoch: number;
  /** Of the snapshot that was loaded, without its history. */
  readonly snapshotBytes: number;
}

/** What the files read so far have in common, for each next one to be held against. */
interface Chain {
  identity: string | null;
  epoch: number;
  /** Where the log before ended. */
  previousEnd: number;
}

/**
 * Loads the newest snapshot and replays the logs from it on. Whatever is missing or damaged between them is refused: only the
 * tail of the newest log, a write that a crash cut short, is cut off.
 *
 * @throws {WaymarkError} `corrupt` with file and offset, `invalid` for a newer format
 */
export async function recover(disk: Disk, state: Keyspace, told: Told): Promise<Recovered> {
  const names = await disk.list();
  for (const name of names) if (name.endsWith(temporary)) await disk.remove(name);
  const snapshot = numbersOf(names, 'snapshot').at(-1) ?? null;
  const first = snapshot ?? 1;
  const logs = numbersOf(names, 'log').filter((number) => number >= first);
  const chain: Chain = { identity: null, epoch: 1, previousEnd: 0 };
  const snapshotBytes =
    snapshot === null ? 0 : await loadSnapshot(disk, snapshot, state, chain, told);
  if (snapshot !== null && logs[0] !== snapshot)
    throw corrupt(logName(snapshot), 0, 'it is missing');
  let log: RecoveredLog | null = null;
  for (const [i, number] of logs.entries()) {
    if (number !== first + i)
      throw corrupt(logName(first + i), 0, 'it is missing, and a later one exists');
    if (number === snapshot) chain.previousEnd = -1;
    log = await replayLog(disk, number, i === logs.length - 1, state, chain, told);
  }
  if (names.includes(markName)) await checkMark(disk, log, told);
  return { log, identity: chain.identity, epoch: chain.epoch, snapshotBytes };
}

export interface RecordGroup {
  readonly offset: number;
  readonly records: readonly FileRecord[];
}

/** The records of a file, one frame's at a time, for recovery and for `waymark inspect`. */
export async function* recordsOf(
  disk: Disk,
  name: string,
  kind: FileKind,
): AsyncGenerator<RecordGroup, FramesEnd & { readonly header: Header; readonly size: number }> {
  const file = await disk.open(name, 'read');
  try {
    const header = await readHeader(file, name, kind);
    const frames = readFrames(file, name, header.salt);
    for (;;) {
      const step = await frames.next();
      if (step.done === true) return { header, size: file.size, ...step.value };
      const { offset, payload } = step.value;
      yield { offset, records: decode(payload, name, offset) };
    }
  } finally {
    await file.close();
  }
}

function decode(payload: Buffer, name: string, offset: number): readonly FileRecord[] {
  try {
    return readRecords(payload);
  } catch (error) {
    throw corrupt(name, offset, error instanceof Error ? error.message : String(error));
  }
}

async function loadSnapshot(
  disk: Disk,
  number: number,
  state: Keyspace,
  chain: Chain,
  told: Told,
): Promise<number> {
  const name = snapshotName(number);
  const groups = recordsOf(disk, name, 'snap');
  const loading = new SnapshotLoading(state, name, told);
  for (;;) {
    const step = await groups.next();
    if (step.done !== true) {
      for (const record of step.value.records) loading.take(record, step.value.offset);
      continue;
    }
    const { end, header, torn } = step.value;
    const begin = torn || header.number !== number ? null : loading.whole();
    if (begin === null) throw corrupt(name, end, 'the snapshot is not whole');
    chain.identity = begin.identity;
    chain.epoch = begin.epoch;
    return loading.historyFrom ?? end;
  }
}

/** Entries as of the revision that the snapshot begins at, then the commits that came after it, if it has any. */
class SnapshotLoading {
  /** Where its history begins. */
  historyFrom: number | null = null;
  readonly #state: Keyspace;
  readonly #name: string;
  readonly #told: Told;
  #begin: BeginRecord | null = null;
  #entries = 0;
  #finish: number | null = null;

  constructor(state: Keyspace, name: string, told: Told) {
    this.#state = state;
    this.#name = name;
    this.#told = told;
  }

  take(record: FileRecord, offset: number): void {
    switch (record.type) {
      case 'begin':
        this.#begin = record;
        return;
      case 'entry':
        if (this.historyFrom !== null)
          throw corrupt(this.#name, offset, 'an entry among its history');
        this.#state.restoreEntry(record.entry);
        if (++this.#entries % 1_000_000 === 0)
          this.#told(`loading ${this.#name}: ${this.#entries} entries`);
        return;
      case 'commit':
        this.#restored();
        this.historyFrom ??= offset;
        if (record.revision <= this.#state.head)
          throw corrupt(this.#name, offset, 'its revisions go down');
        return this.#state.replay(record);
      case 'grant':
      case 'end':
        return this.#state.replay(record);
      case 'finish':
        this.#finish = record.entries;
        return;
      default:
        throw corrupt(this.#name, offset, 'a record of another file');
    }
  }

  /** Null when something is missing. */
  whole(): BeginRecord | null {
    if (this.#finish !== this.#entries) return null;
    this.#restored();
    return this.#begin;
  }

  #restored(): void {
    if (this.historyFrom === null && this.#begin !== null)
      this.#state.restoreRevision(this.#begin.revision);
  }
}

async function replayLog(
  disk: Disk,
  number: number,
  last: boolean,
  state: Keyspace,
  chain: Chain,
  told: Told,
): Promise<RecoveredLog> {
  const name = logName(number);
  const groups = recordsOf(disk, name, 'log ');
  for (let count = 0; ;) {
    const step = await groups.next();
    if (step.done === true) {
      const { header, end, torn, frames, size } = step.value;
      if (header.number !== number || frames === 0)
        throw corrupt(name, end, 'its beginning is missing');
      if (torn && !last) throw corrupt(name, end, 'it is cut short, and a later log exists');
      if (torn) await cut(disk, name, end, size, told);
      chain.previousEnd = end;
      return { number, salt: header.salt, end, sequence: frames + 1 };
    }
    const { offset, records } = step.value;
    for (const record of records) {
      replayRecord(record, { name, offset }, state, chain);
      if (++count % 1_000_000 === 0)
        told(`replaying ${name}: ${count} records, revision ${state.head}`);
    }
  }
}

function replayRecord(
  record: FileRecord,
  at: { readonly name: string; readonly offset: number },
  state: Keyspace,
  chain: Chain,
): void {
  switch (record.type) {
    case 'begin':
      return join(record, at, state, chain);
    case 'entry':
    case 'finish':
    case 'mark':
      throw corrupt(at.name, at.offset, 'a record that does not belong in a log');
    case 'commit':
      if (record.revision <= state.head) throw corrupt(at.name, at.offset, 'its revisions go down');
      return state.replay(record);
    default:
      return state.replay(record);
  }
}

/** A log must go on exactly where the file before it ended. */
function join(
  begin: BeginRecord,
  at: { readonly name: string; readonly offset: number },
  state: Keyspace,
  chain: Chain,
): void {
  if (chain.identity !== null && chain.identity !== begin.identity) {
    throw corrupt(at.name, at.offset, `it belongs to another engine, ${begin.identity}`);
  }
  if (begin.revision !== state.head) {
    throw corrupt(at.name, at.offset, `it begins at revision ${begin.revision}, not ${state.head}`);
  }
  if (chain.previousEnd >= 0 && begin.previousEnd !== chain.previousEnd) {
    throw corrupt(
      at.name,
      at.offset,
      `the log before it ended at ${begin.previousEnd}, and ends at ${chain.previousEnd}`,
    );
  }
  chain.identity = begin.identity;
  chain.epoch = begin.epoch;
}

/** What a crash cut short was never acknowledged. */
async function cut(disk: Disk, name: string, end: number, size: number, told: Told): Promise<void> {
  const file = await disk.open(name, 'lazy');
  try {
    await file.truncate(end);
    await file.sync();
  } finally {
    await file.close();
  }
  told(`${name}: cut ${size - end} bytes at offset ${end}, a write that a crash had cut short`);
}

/**
 * After a clean close nothing is missing at the end of the log either: a mark says how far it reached. A mark that cannot be
 * read proves nothing, and the log stands for itself.
 */
async function checkMark(disk: Disk, log: RecoveredLog | null, told: Told): Promise<void> {
  const mark = await readMark(disk, told);
  if (mark === null) return;
  const name = logName(mark.number);
  if (log === null || log.number < mark.number) throw corrupt(name, 0, 'it is missing');
  if (log.number === mark.number && log.end < mark.end) {
    throw corrupt(name, log.end, `it ends here, and reached ${mark.end} when it was closed`);
  }
}

async function readMark(disk: Disk, told: Told): Promise<{ number: number; end: number } | null> {
  try {
    for await (const { records } of recordsOf(disk, markName, 'mark')) {
      for (const record of records) if (record.type === 'mark') return record;
    }
  } catch (error) {
    told(`${markName} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  return null;
}
