import type { Metrics } from '../metrics.js';
import type { Flushed } from './group-commit.js';
import type { StashNodeService } from './node-service.js';

type Read = (of: StashNodeService) => number | null;

/** What is told of a storage node to whoever measures. @param service  null while there is none @returns counts flushes */
export function describeStash(metrics: Metrics, service: () => StashNodeService | null): Flushed {
  const reading = (read: Read) => (): number | null => {
    const of = service();
    return of === null ? null : read(of);
  };
  const gauge = (name: string, help: string, read: Read): void =>
    metrics.gauge(`waymark_stash_${name}`, help, reading(read));
  const total = (name: string, help: string, read: Read): void =>
    metrics.total(`waymark_stash_${name}_total`, help, reading(read));
  describeStore(gauge, total);
  describeRepair(gauge, total);
  describeMove(gauge);
  const seconds = metrics.histogram(
    'waymark_stash_flush_seconds',
    'Time until a group of writes is on the disk.',
  );
  const group = metrics.histogram(
    'waymark_stash_group_entries',
    'Entries that share a flush.',
    groupBuckets,
  );
  return (ms, entries) => {
    seconds.observe({}, ms / 1_000);
    // Marks and stamps are written in groups of their own.
    if (entries > 0) group.observe({}, entries);
  };
}

const groupBuckets = [1, 2, 5, 10, 25, 50, 100, 250, 1_000, 5_000, 25_000];

type Describe = (name: string, help: string, read: Read) => void;

function describeStore(gauge: Describe, total: Describe): void {
  gauge('records', 'Records of the node, tombstones among them.', recordsOf('records'));
  gauge('bytes', 'What they take on the disk.', recordsOf('bytes'));
  gauge('tombstones', 'Tombstones that are kept.', ({ store }) => store.figures.tombstones);
  gauge(
    'hints',
    'Keys that other nodes missed, and are to be told.',
    ({ store }) => store.hints.count,
  );
  gauge(
    'read_only',
    'Whether it takes no writes, for want of room or after a failure: 1 or 0.',
    ({ store }) => (store.writable ? 0 : 1),
  );
  total('reads', 'Keys read.', ({ store }) => store.figures.reads);
  total('writes', 'Entries that came to be written.', ({ store }) => store.figures.writes);
  total('reaped', 'Entries over and tombstones removed.', ({ store }) => store.figures.reaped);
  total(
    'damaged',
    'Records found that do not match their CRC.',
    ({ store }) => store.figures.damaged,
  );
  total(
    'skewed',
    "Parts, and entries of replicas, refused for stamps too far ahead of this node's clock.",
    ({ store }) => store.stamps.refused,
  );
}

function recordsOf(what: 'records' | 'bytes'): Read {
  return ({ store }) => store.stats()[what];
}

function describeRepair(gauge: Describe, total: Describe): void {
  const of = ({ repaired }: StashNodeService) => repaired;
  gauge('compared_seconds', 'Time since it was compared with every other replica.', (service) => {
    const ms = of(service)?.comparedMs ?? null;
    return ms === null ? null : ms / 1_000;
  });
  const figures = {
    compared: 'Looks at what another node keeps.',
    differing: 'Partitions that were not the same on another node.',
    fetched: 'Entries that repair brought here.',
    pushed: 'Entries that repair took to others.',
    hinted: 'Entries that others had missed, and were told.',
    purged: 'Partitions whose tombstones were deleted for good.',
  } as const;
  for (const name of Object.keys(figures) as (keyof typeof figures)[]) {
    total(`repair_${name}`, figures[name], (service) => of(service)?.[name] ?? null);
  }
}

function describeMove(gauge: Describe): void {
  gauge('joining', 'Whether it waits for its share of the data: 1 or 0.', ({ state }) =>
    state === 'joining' ? 1 : 0,
  );
  gauge('moving', 'Whether data is being moved between nodes: 1 or 0.', ({ move }) =>
    move === null ? 0 : 1,
  );
  gauge(
    'move_partitions',
    'Partitions that are to be brought over, of all nodes.',
    ({ move }) => move?.of ?? null,
  );
  gauge(
    'move_partitions_done',
    'Of these, those that were.',
    ({ move }) => move?.partitions ?? null,
  );
}
