import type { ErrorFacts } from '../../core/errors.js';
import { isWaymarkError } from '../../core/errors.js';
import { type Disk, realDisk } from './disk.js';
import { type FileKind, readHeader } from './frames.js';
import { logName, markName, numbersOf, snapshotName } from './names.js';
import { recordsOf } from './recovery.js';
import type { FileRecord } from './records.js';

/** One fact of a data directory. Plain JSON; keys and values are byte strings (one char a byte). */
export type FileFact =
  | {
      readonly type: 'file';
      readonly file: string;
      readonly kind: FileKind;
      /** Null when its header cannot be read. */
      readonly format: number | null;
    }
  | {
      readonly type: 'record';
      readonly file: string;
      readonly offset: number;
      readonly record: FileRecord;
    }
  | {
      readonly type: 'end';
      readonly file: string;
      /** Where the last good frame ends, and the size of the file. */
      readonly end: number;
      readonly size: number;
      readonly frames: number;
      /** Something that is no frame follows: what a crash cut short, when it is the newest log. */
      readonly torn: boolean;
    }
  | {
      readonly type: 'damage';
      readonly file: string;
      readonly message: string;
      readonly facts: ErrorFacts;
    };

/**
 * Everything that the files of a data directory say, oldest file first. Reads only, and locks nothing: beside a running engine the
 * end of the newest log may be caught in the middle of a write. Damage is one more fact, after which the next file follows.
 *
 * @throws what the file system says when the directory cannot be read
 */
export async function* inspectFiles(
  directory: string,
  disk: Disk = realDisk(directory),
): AsyncGenerator<FileFact> {
  const names = await disk.list();
  for (const number of numbersOf(names, 'snapshot'))
    yield* inspectFile(disk, snapshotName(number), 'snap');
  for (const number of numbersOf(names, 'log')) yield* inspectFile(disk, logName(number), 'log ');
  if (names.includes(markName)) yield* inspectFile(disk, markName, 'mark');
}

async function* inspectFile(disk: Disk, file: string, kind: FileKind): AsyncGenerator<FileFact> {
  yield { type: 'file', file, kind, format: await formatOf(disk, file, kind) };
  const groups = recordsOf(disk, file, kind);
  try {
    for (;;) {
      const step = await groups.next();
      if (step.done === true) {
        const { end, size, frames, torn } = step.value;
        yield { type: 'end', file, end, size, frames, torn };
        return;
      }
      const { offset, records } = step.value;
      for (const record of records) yield { type: 'record', file, offset, record };
    }
  } catch (error) {
    if (!isWaymarkError(error)) throw error;
    yield { type: 'damage', file, message: error.message, facts: error.facts };
  } finally {
    await groups.return({} as never);
  }
}

async function formatOf(disk: Disk, name: string, kind: FileKind): Promise<number | null> {
  const file = await disk.open(name, 'read');
  try {
    return (await readHeader(file, name, kind)).format;
  } catch (error) {
    if (!isWaymarkError(error)) throw error;
    return null;
  } finally {
    await file.close();
  }
}

/** One line for people. Values are shortened. */
export function describeFact(fact: FileFact): string {
  switch (fact.type) {
    case 'file':
      return `${fact.file}: ${fact.kind.trim()}, format ${fact.format ?? 'unknown'}`;
    case 'record':
      return `${fact.file} ${String(fact.offset).padStart(10)}  ${describeRecord(fact.record)}`;
    case 'end':
      return `${fact.file} ${String(fact.end).padStart(10)}  end after ${fact.frames} frames${fact.torn ? ', then something cut short' : ''}`;
    case 'damage':
      return `damage: ${fact.message}`;
  }
}

function describeRecord(record: FileRecord): string {
  switch (record.type) {
    case 'commit': {
      const changes = record.changes.map(({ kind, entry }) =>
        kind === 'put'
          ? `put ${shown(entry.key)} = ${shown(entry.value)}`
          : `${kind} ${shown(entry.key)}`,
      );
      return `revision ${record.revision}: ${changes.join(', ')}`;
    }
    case 'grant':
      return `lease ${record.id} granted for ${record.ttlMs} ms`;
    case 'end':
      return `lease ${record.id} ended`;
    case 'compact':
      return `compacted through ${record.through}`;
    case 'begin':
      return `begins after revision ${record.revision}, engine ${record.identity}, epoch ${record.epoch}`;
    case 'entry':
      return `entry ${shown(record.entry.key)} = ${shown(record.entry.value)} (revision ${record.entry.modRevision})`;
    case 'finish':
      return `${record.entries} entries in all`;
    case 'mark':
      return `log ${record.number} reached ${record.end} at the last clean close`;
  }
}

function shown(bytes: string): string {
  const text = JSON.stringify(bytes.length > 60 ? `${bytes.slice(0, 60)}…` : bytes);
  return text;
}
