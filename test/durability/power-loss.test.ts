import { describe, expect, test } from 'vitest';
import { openFileEngine } from 'waymark/engine';
import { FakeClock, SimulatedDisk } from 'waymark/testing';
import { Ledger, wholeState } from './ledger.js';
import { seededRandom, seedOf } from './seeded-random.js';

const long = process.env['WAYMARK_LONG'] === '1';
const states = long ? 20_000 : 500;
const statesPerRun = 4;
const seed = seedOf(20_261_121);
const replay = `WAYMARK_SEED=${seed} npx vitest run test/durability/power-loss.test.ts`;

interface Explored {
  states: number;
  lost: string[];
  cut: number;
  snapshots: number;
}

/** Loads an engine until the power goes at a random call, and opens what may be found then; half of it is loaded and cut once more. */
async function explore(
  of: number,
  seedOfRun: number,
  durability: 'flushed' | 'async',
): Promise<Explored> {
  const explored: Explored = { states: 0, lost: [], cut: 0, snapshots: 0 };
  for (let run = 0; explored.states < of; run++) {
    const random = seededRandom(seedOfRun + run);
    const ledger = new Ledger(random);
    const disk = new SimulatedDisk();
    await load(disk, ledger, durability, explored);
    for (let image = 0; image < statesPerRun && explored.states < of; image++) {
      const found = disk.afterPowerLoss(random);
      const fork = ledger.fork();
      const whole = await check(found, fork, explored, `run ${run}, state ${image}`);
      if (!whole || image % 2 === 1) continue;
      // What a recovery showed is seen by then, and must outlive the next loss of power too.
      await load(found, fork, durability, explored);
      await check(
        found.afterPowerLoss(random),
        fork,
        explored,
        `run ${run}, state ${image}, second loss`,
      );
    }
  }
  return explored;
}

async function load(
  disk: SimulatedDisk,
  ledger: Ledger,
  durability: 'flushed' | 'async',
  explored: Explored,
): Promise<void> {
  disk.powerOffAfter = disk.calls + 3 + Math.floor(ledger.random.next() ** 2 * 400);
  const told = (message: string): void => {
    if (message.startsWith('snapshot-')) explored.snapshots++;
  };
  const options = {
    disk,
    durability,
    told,
    snapshotLogBytes: 6_000,
    random: ledger.random,
    clock: new FakeClock(),
  };
  const opening = openFileEngine('simulated', options).then((engine) => ledger.run(engine, 120));
  await Promise.race([opening, turnsWithout(disk)]);
}

/** Resolves when the power is off and everything that could still run has run. */
async function turnsWithout(disk: SimulatedDisk): Promise<void> {
  while (disk.calls <= disk.powerOffAfter) await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
}

async function check(
  disk: SimulatedDisk,
  ledger: Ledger,
  explored: Explored,
  where: string,
): Promise<boolean> {
  explored.states++;
  const told = (message: string): void => {
    if (message.includes(': cut ')) explored.cut++;
  };
  try {
    const engine = await openFileEngine('simulated', { disk, told, clock: new FakeClock() });
    ledger.verify(await wholeState(engine));
    return true;
  } catch (error) {
    explored.lost.push(`${where}: ${String(error)}`);
    return false;
  }
}

describe('power loss', () => {
  test(`[G13] ${states} states after a loss of power: nothing acknowledged is lost, all open`, async () => {
    const explored = await explore(states, seed, 'flushed');
    expect(explored.lost, replay).toEqual([]);
    // The states are worth something only when they reach torn writes and snapshots.
    expect(explored.cut).toBeGreaterThan(states / 20);
    expect(explored.snapshots).toBeGreaterThan(states / 20);
  }, 3_600_000);

  test('[G13] control: answering before the flush loses', async () => {
    const explored = await explore(60, seed, 'async');
    expect(explored.lost.length, replay).toBeGreaterThan(5);
  });
});
