import type { Clock } from '../../core/clock.js';
import type { Revision } from '../../core/engine.js';
import type { Keyspace } from '../kit/keyspace.js';
import type { Disk } from './disk.js';
import { encodeHeader, sealFrame } from './frames.js';
import { snapshotName } from './recovery.js';
import { RecordWriter } from './records.js';

const entriesPerTurn = 500;
const frameBytes = 1_048_576;

export interface SnapshotOf {
  readonly number: number;
  readonly salt: number;
  readonly identity: string;
  readonly revision: Revision;
  readonly leases: readonly { readonly id: number; readonly ttlMs: number }[];
}

/**
 * Writes the state at a pinned revision while commits go on: a few hundred entries a turn, from history, so it neither stops the
 * event loop nor doubles memory. Whole, flushed and renamed before anything it replaces goes.
 *
 * @returns its size in bytes
 */
export async function writeSnapshot(disk: Disk, keyspace: Keyspace, clock: Clock, of: SnapshotOf): Promise<number> {
  const name = snapshotName(of.number);
  const file = await disk.open(`${name}.tmp`, 'lazy');
  let offset = 0;
  const put = async (data: Buffer): Promise<void> => {
    await file.write(data, offset);
    offset += data.length;
  };
  try {
    await file.truncate(0);
    await put(encodeHeader({ kind: 'snap', salt: of.salt, number: of.number }));
    const writer = new RecordWriter();
    let sequence = 1;
    const flush = async (): Promise<void> => {
      if (writer.bytes > 0) await put(sealFrame(writer.take(), of.salt, sequence++));
    };
    writer.write({ type: 'begin', revision: of.revision, identity: of.identity });
    for (const { id, ttlMs } of of.leases) {
      writer.write({ type: 'grant', id, ttlMs });
      if (writer.bytes >= frameBytes) await flush();
    }
    let count = 0;
    for (let from = ''; ; ) {
      const page = keyspace.entriesAt(of.revision, from, entriesPerTurn);
      for (const entry of page) writer.write({ type: 'entry', entry });
      count += page.length;
      const last = page.at(-1);
      if (last === undefined) break;
      from = `${last.key}\0`;
      if (writer.bytes >= frameBytes) await flush();
      else await new Promise<void>((resolve) => clock.nextTurn(resolve));
    }
    writer.write({ type: 'finish', entries: count });
    await flush();
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(`${name}.tmp`, name);
  await disk.syncDirectory();
  return offset;
}

