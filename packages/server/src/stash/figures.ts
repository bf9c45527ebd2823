import type { Metrics } from '../metrics.js';
import type { StashNodeService } from './node-service.js';

/** What is told of a storage node to whoever measures. @param service  null while there is none @returns counts flushes */
export function describeStash(
  metrics: Metrics,
  service: () => StashNodeService | null,
): (ms: number) => void {
  const gauge = (name: string, help: string, read: (of: StashNodeService) => number): void =>
    metrics.gauge(`waymark_stash_${name}`, help, () => {
      const of = service();
      return of === null ? null : read(of);
    });
  gauge(
    'records',
    'Records of the node, tombstones among them.',
    ({ store }) => store.stats().records,
  );
  gauge('bytes', 'What they take on the disk.', ({ store }) => store.stats().bytes);
  gauge('reads', 'Keys read since it was started.', ({ store }) => store.figures.reads);
  gauge(
    'writes',
    'Entries that came to be written since then.',
    ({ store }) => store.figures.writes,
  );
  gauge(
    'reaped',
    'Entries over and tombstones removed since then.',
    ({ store }) => store.figures.reaped,
  );
  gauge(
    'damaged',
    'Records found since then that do not match their CRC.',
    ({ store }) => store.figures.damaged,
  );
  gauge(
    'read_only',
    'Whether it takes no writes, for want of room or after a failure: 1 or 0.',
    ({ store }) => (store.writable ? 0 : 1),
  );
  gauge('joining', 'Whether it waits for its share of the data: 1 or 0.', ({ state }) =>
    state === 'joining' ? 1 : 0,
  );
  const seconds = metrics.histogram(
    'waymark_stash_flush_seconds',
    'Time until a group of writes is on the disk.',
  );
  return (ms) => seconds.observe({}, ms / 1_000);
}
