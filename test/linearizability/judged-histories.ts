import { withoutPassword } from 'waymark/engine';
import { checkRevisions, checkWatch } from 'waymark/testing';
import { chooseSeed, SeededRandom } from '../faults/random.js';
import { ServerProcess } from '../faults/server-process.js';
import { type RecordedHistory, recordHistory } from './remote-history.js';
import { orderFaults } from './workload.js';

/** Everything wrong with a history, by both checkers and the rules of watches. */
export function faultsOf(history: RecordedHistory): string[] {
  const { calls, log, after, watched } = history;
  const found = orderFaults(calls, log);
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

export interface HistoriesCall {
  /** The test, for who replays it. */
  readonly file: string;
  /** What the server runs on. */
  readonly engine: string;
  readonly count: number;
  /** Calls of each. Default 8 000. */
  readonly operations?: number;
  /** Does harm to the engine until the signal aborts. */
  readonly disturb?: (signal: AbortSignal, random: SeededRandom) => Promise<void>;
}

/** Histories of 8 clients, two at a time on one server, each judged as soon as it is recorded. */
export async function runHistories(
  { file, engine, count, operations = 8_000, disturb }: HistoriesCall,
  judge: (history: RecordedHistory) => void,
): Promise<void> {
  await using server = await ServerProcess.start(engine);
  const seed = chooseSeed(file);
  const over = new AbortController();
  const disturbed = disturb?.(over.signal, new SeededRandom(seed));
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let number = next++; number < count; number = next++) {
      const options = { url: server.url, namespace: `history-${number}`, seed: seed + number };
      judge(await recordHistory({ ...options, clients: 8, operations }));
    }
  };
  try {
    await Promise.all([lane(), lane()]);
  } finally {
    over.abort();
    await disturbed;
  }
}

export async function tallyHistories(call: HistoriesCall): Promise<Tally> {
  const tally = new Tally();
  await runHistories(call, (history) => {
    tally.add(history);
    if (tally.histories % 100 === 0 || tally.histories === call.count)
      console.log(`${withoutPassword(call.engine)}: ${tally}`);
  });
  return tally;
}
