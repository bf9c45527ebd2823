import { expect, test } from 'vitest';
import { chooseSeed, SeededRandom, sized } from './random.js';
import { Clients, type HistoryWays } from './rig/history.js';
import { faultsOf, Tally } from './rig/judge.js';
import { faultKinds, planFault } from './rig/plan.js';
import { Rig } from './rig/rig.js';

/**
 * Three members of etcd and three servers of Waymark in network namespaces, eight clients; one fault per history, from a second after its
 * beginning to a second before its end. Two such clusters work side by side.
 */
const file = 'test/faults/cluster.test.ts';
const hosts = 3;
const safe: HistoryWays = { callMs: 400, pauseMs: 15, stale: false };
/** A replay begins with the history that the seed names. */
const count = Number(process.env['HISTORIES'] ?? sized(60, 400));

async function lane(next: () => number | null, tally: Tally): Promise<void> {
  // One server knows its own member alone: it cannot turn to another one.
  await using rig = await Rig.start({ version: '3.4', alone: [hosts - 1] });
  await using clients = await Clients.start(rig);
  for (let seed = next(); seed !== null; seed = next()) {
    const kind = faultKinds[seed % faultKinds.length] ?? 'kill';
    const fault = planFault(kind, new SeededRandom(seed), hosts);
    const history = await clients.record(`history-${seed}`, seed, fault, safe);
    tally.add(history, kind, `SEED=${seed} HISTORIES=1 npx vitest run ${file}`);
    if (tally.histories % 20 === 0) console.log(`${tally}`);
  }
}

test(
  '[K1 K2 K7 K8 K11] histories of 8 clients on 3 servers over an etcd of 3 members with faults are linearizable, and watches miss nothing',
  { timeout: 4_800_000 },
  async () => {
    const tally = new Tally();
    const seed = chooseSeed(file);
    let number = 0;
    const next = (): number | null => (number < count ? seed + number++ : null);
    await Promise.all(count > 1 ? [lane(next, tally), lane(next, tally)] : [lane(next, tally)]);
    console.log(`${tally}`);
    expect(tally.faults).toEqual([]);
    expect(tally.histories).toBe(count);
    if (count >= 20) expect(tally.unknown).toBeGreaterThan(0);
  },
);

test(
  '[checker] control: stale reads recorded as any other are found out',
  { timeout: 300_000 },
  async () => {
    const seed = chooseSeed(file);
    const cutOff = hosts - 1;
    await using rig = await Rig.start({ version: '3.4', alone: [cutOff] });
    await using clients = await Clients.start(rig);
    // Long enough for the others to elect, should it have been who leads.
    const fault = {
      kind: 'partition',
      way: 'both',
      of: 'peers',
      host: cutOff,
      lastsMs: 4_000,
    } as const;
    const found: string[] = [];
    for (let number = 0; number < 3 && found.length === 0; number++) {
      const history = await clients.record(`stale-${number}`, seed, fault, {
        ...safe,
        stale: true,
      });
      found.push(...faultsOf(history));
    }
    console.log(`stale reads: ${found.length} faults, first ${found[0]?.slice(0, 200)}`);
    expect(found.join()).toMatch(/violation/);
  },
);
