import type { Random } from '../../core/clock.js';
import type { Entry, Lease, LeaseId, Revision } from '../../core/engine.js';
import { WaymarkError } from '../../core/errors.js';
import { systemRandom } from '../../core/system-clock.js';
import { type Disk, realDisk } from './disk.js';
import { createLog, type Origin, writeSnapshot } from './write-files.js';

/** An entry as a backup holds it; without `lease` it belongs to none. */
export type RestoredEntry = Omit<Entry, 'lease'> & { readonly lease?: LeaseId | undefined };

export interface DirectoryContent {
  readonly entries: Iterable<RestoredEntry> | AsyncIterable<RestoredEntry>;
  /** Every lease that an entry names. Each gets its whole TTL when the directory is opened. */
  readonly leases?: Iterable<Lease> | undefined;
  /**
   * The state's revision, at least that of every entry. A restore takes one well above any that the lost data may have
   * reached, so that no fencing token is ever given twice.
   */
  readonly revision: Revision;
  /** Default: a new one, so that watches of the lost data start over. */
  readonly identity?: string | undefined;
  /** Counts the rebuilds of this data. Default 1. */
  readonly epoch?: number | undefined;
  readonly random?: Random | undefined;
  readonly disk?: Disk | undefined;
}

const entriesPerPage = 1_000;

/**
 * Writes a new data directory that `openFileEngine` opens; used to restore a backup. Whole when it returns: the log, which is
 * what makes it one, is written last.
 *
 * @throws {WaymarkError} `conflict` when the directory is not empty, `invalid` for an entry above `revision` or without its lease
 */
export async function createDataDirectory(
  directory: string,
  content: DirectoryContent,
): Promise<void> {
  const { random = systemRandom, disk = realDisk(directory), revision } = content;
  await disk.make();
  if ((await disk.list()).length > 0) {
    throw new WaymarkError('conflict', `${directory} is not empty: restore into a new directory`, {
      file: directory,
    });
  }
  if (!Number.isSafeInteger(revision) || revision < 0) {
    throw new WaymarkError('invalid', `a revision is a whole number, not ${String(revision)}`);
  }
  const origin: Origin = {
    number: 1,
    salt: Math.floor(random.next() * 2 ** 32),
    identity: content.identity ?? random.id(),
    epoch: content.epoch ?? 1,
    revision,
  };
  const leases = [...(content.leases ?? [])];
  const ids = new Set<LeaseId>([0, ...leases.map(({ id }) => id)]);
  await writeSnapshot(disk, origin, { leases, pages: pagesOf(content.entries, revision, ids) });
  await createLog(disk, origin, 0);
}

async function* pagesOf(
  entries: Iterable<RestoredEntry> | AsyncIterable<RestoredEntry>,
  revision: Revision,
  leases: ReadonlySet<LeaseId>,
): AsyncGenerator<readonly Entry[]> {
  let page: Entry[] = [];
  for await (const entry of entries) {
    if (entry.modRevision > revision) {
      throw new WaymarkError(
        'invalid',
        `an entry of revision ${entry.modRevision} is above ${revision}`,
      );
    }
    const { lease = 0 } = entry;
    if (!leases.has(lease))
      throw new WaymarkError('invalid', `an entry names lease ${lease}, which is not given`);
    page.push({ ...entry, lease });
    if (page.length < entriesPerPage) continue;
    yield page;
    page = [];
  }
  if (page.length > 0) yield page;
}
