import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sized } from '../faults/random.js';
import { faultsOf, runHistories, tallyHistories } from './judged-histories.js';
import type { RecordedHistory } from './remote-history.js';

const file = 'test/linearizability/remote.test.ts';

test(
  '[K1 K2 K7 K8 K11] histories of 8 remote clients with cut connections are linearizable (memory)',
  { timeout: 4_800_000 },
  async () => {
    const { faults, unknown } = await tallyHistories({
      file,
      engine: 'memory',
      count: sized(80, 1_800),
    });
    expect(faults).toEqual([]);
    expect(unknown).toBeGreaterThan(0);
  },
);

test(
  '[K1 K2 K7 K8 K11] histories of 8 remote clients with cut connections are linearizable (file)',
  { timeout: 4_800_000 },
  async () => {
    const directory = await mkdtemp(join(tmpdir(), 'waymark-histories-'));
    try {
      const { faults } = await tallyHistories({
        file,
        engine: `file:${directory}`,
        count: sized(20, 200),
      });
      expect(faults).toEqual([]);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  },
);

test(
  '[checker] control: a read, a log and a watch changed by hand are found out',
  { timeout: 120_000 },
  async () => {
    const histories: RecordedHistory[] = [];
    await runHistories({ file, engine: 'memory', count: 1 }, (history) => histories.push(history));
    const [history] = histories;
    expect(history).toBeDefined();
    if (history === undefined) return;
    expect(faultsOf(history)).toEqual([]);
    const { calls, log, watched } = history;

    const isRead = ({ input, output }: (typeof calls)[number]) =>
      input.apply.length === 1 && input.apply[0]?.op === 'get' && output?.results?.[0] !== null;
    const never = { value: 'never written', revision: 1, createRevision: 1, version: 1 };
    const victim = calls.filter(isRead)[20];
    const stale = calls.map((call) =>
      call === victim ? { ...call, output: { succeeded: true, results: [never] } } : call,
    );
    expect(faultsOf({ ...history, calls: stale }).join()).toMatch(/violation/);

    const lost = log.filter((_, at) => at !== Math.floor(log.length / 2));
    expect(faultsOf({ ...history, log: lost }).join()).toMatch(/\([ace]\)/);

    const [records = []] = watched;
    const middle = Math.floor(records.length / 2);
    const gap = records.filter((_, at) => at !== middle);
    expect(faultsOf({ ...history, watched: [gap] }).join()).toMatch(/watch reliable/);
    const twice = [...records.slice(0, middle + 1), ...records.slice(middle)];
    expect(faultsOf({ ...history, watched: [twice] }).join()).toMatch(/watch unique/);
    const swapped = records.map(
      (record, at) =>
        records[at === middle ? middle + 1 : at === middle + 1 ? middle : at] ?? record,
    );
    expect(faultsOf({ ...history, watched: [swapped] }).join()).toMatch(/watch ordered/);
    const parted = records.map((record) => {
      if (record.type !== 'batch' || record.changes.length < 2) return record;
      return { ...record, changes: record.changes.slice(1) };
    });
    expect(faultsOf({ ...history, watched: [parted] }).join()).toMatch(/watch atomic/);
  },
);
