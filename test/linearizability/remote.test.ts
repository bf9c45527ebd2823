import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { checkLinearizable, checkRevisions, checkWatch, versionedModel } from 'waymark/testing';
import { chooseSeed, sized } from '../faults/random.js';
import { ServerProcess } from '../faults/server-process.js';
import { type RecordedHistory, recordHistory } from './remote-history.js';
import { perKey } from './workload.js';

const file = 'test/linearizability/remote.test.ts';

/** Everything wrong with a history, by both checkers and the rules of watches. */
function faultsOf(history: RecordedHistory): string[] {
  const { calls, log, after, watched } = history;
  const verdict = checkLinearizable(versionedModel, perKey(calls));
  const found =
    verdict.result === 'ok'
      ? []
      : [`${verdict.result}: ${verdict.partition} ${JSON.stringify(verdict.stuck)}`];
  found.push(...checkRevisions(calls, log));
  for (const records of watched) {
    const broken = checkWatch({ after, records, matches: () => true }, log);
    found.push(...broken.map(({ rule, message }) => `watch ${rule}: ${message}`));
  }
  return found;
}

/** What many histories add up to: none of them is kept, as a thousand fill a heap. */
class Tally {
  histories = 0;
  calls = 0;
  unknown = 0;
  cuts = 0;
  changes = 0;
  readonly faults: string[] = [];

  add(history: RecordedHistory): void {
    this.histories++;
    this.calls += history.calls.length;
    this.unknown += history.calls.filter((call) => call.output === undefined).length;
    this.cuts += history.cuts;
    this.changes += history.log.length;
    this.faults.push(...faultsOf(history));
  }

  toString(): string {
    const { histories, calls, unknown, cuts, changes, faults } = this;
    return `${histories} histories, ${calls} calls, ${unknown} unknown, ${cuts} cuts, ${changes} changes, ${faults.length} faults`;
  }
}

/** Histories of 8 clients, two at a time on one server, each judged as soon as it is recorded. */
async function runHistories(
  engine: string,
  count: number,
  judge: (history: RecordedHistory) => void,
): Promise<void> {
  await using server = await ServerProcess.start(engine);
  const seed = chooseSeed(file);
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let number = next++; number < count; number = next++) {
      const options = { url: server.url, namespace: `history-${number}`, seed: seed + number };
      judge(await recordHistory({ ...options, clients: 8, operations: 8_000 }));
    }
  };
  await Promise.all([lane(), lane()]);
}

async function tallyHistories(engine: string, count: number): Promise<Tally> {
  const tally = new Tally();
  await runHistories(engine, count, (history) => {
    tally.add(history);
    if (tally.histories % 100 === 0 || tally.histories === count)
      console.log(`${engine}: ${tally}`);
  });
  return tally;
}

test(
  '[K1 K2 K7 K8 K11] histories of 8 remote clients with cut connections are linearizable (memory)',
  { timeout: 4_800_000 },
  async () => {
    const { faults, unknown } = await tallyHistories('memory', sized(80, 1_800));
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
      const { faults } = await tallyHistories(`file:${directory}`, sized(20, 200));
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
    await runHistories('memory', 1, (history) => void histories.push(history));
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
