import { describe, expect, test } from 'vitest';
import { openFileEngine } from 'waymark/engine';
import { FakeClock, SimulatedDisk } from 'waymark/testing';
import { followHistory, Ledger, wholeState } from './ledger.js';
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
  /** Of these, states that were found with history from before their snapshot. */
  held: number;
}

/** Loads an engine until the power goes at a random call, and opens what may be found then; half of it is loaded and cut once more. */
async function explore(
  of: number,
  seedOfRun: number,
  durability: 'flushed' | 'async',
): Promise<Explored> {
  const explored: Explored = { states: 0, lost: [], cut: 0, snapshots: 0, held: 0 };
  for (let run = 0; explored.states < of; run++) {
    const random = seededRandom(seedOfRun + run);
    const ledger = new Ledger(random);
    const disk = new SimulatedDisk();
    const needed = run % 3 === 0 ? null : run % 3 === 1 ? 0 : Math.floor(random.next() * 100);
    const how = { durability, needed };
    await load(disk, ledger, how, explored);
    for (let image = 0; image < statesPerRun && explored.states < of; image++) {
      const found = disk.afterPowerLoss(random);
      const fork = ledger.fork();
      const whole = await check(found, fork, { ...how, explored }, `run ${run}, state ${image}`);
      if (!whole || image % 2 === 1) continue;
      // What a recovery showed is seen by then, and must outlive the next loss of power too.
      await load(found, fork, how, explored);
      await check(
        found.afterPowerLoss(random),
        fork,
        { ...how, explored },
        `run ${run}, state ${image}, second loss`,
      );
    }
  }
  return explored;
}

interface How {
  readonly durability: 'flushed' | 'async';
  /** After which revision history is held back; null: nowhere. */
  readonly needed: number | null;
}

async function load(
  disk: SimulatedDisk,
  ledger: Ledger,
  { durability, needed }: How,
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
    history: { needed: () => needed },
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
  { needed, explored }: How & { readonly explored: Explored },
  where: string,
): Promise<boolean> {
  explored.states++;
  const told = (message: string): void => {
    if (message.includes(': cut ')) explored.cut++;
  };
  try {
    const history = { needed: () => needed };
    const options = { disk, told, history, clock: new FakeClock() };
    const engine = await openFileEngine('simulated', options);
    ledger.verify(await wholeState(engine));
    const after = await followHistory(engine);
    if (needed !== null && after > needed)
      throw new Error(`history ends at ${after}, and is needed after ${needed}`);
    const names = await disk.list();
    if (needed !== null && names.some((name) => name.startsWith('snapshot-'))) explored.held++;
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
    expect(explored.held).toBeGreaterThan(states / 20);
  }, 3_600_000);

  test('[G13] control: answering before the flush loses', async () => {
    const explored = await explore(60, seed, 'async');
    expect(explored.lost.length, replay).toBeGreaterThan(5);
  });
});
