import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test, type TestContext } from 'vitest';
import { Command } from '../support/command.js';
import { tracedCalls } from './disk-calls.js';
import { seedOf } from './seeded-random.js';

const states = process.env['WAYMARK_LONG'] === '1' ? 20_000 : 500;
/** Of one run of a writer. */
const statesPerRun = 500;
const seed = seedOf(20_261_125);
const replay = `WAYMARK_SEED=${seed} npx vitest run test/durability/stash-power-loss.test.ts`;
const programOf = (name: string): string =>
  fileURLToPath(new URL(`../dist/durability/${name}.js`, import.meta.url));
const lines = 400;

let directory: string;
beforeAll(async () => (directory = await mkdtemp(join(tmpdir(), 'waymark-stash-power-'))));
afterAll(() => rm(directory, { recursive: true, force: true }));

interface State {
  readonly state: number;
  readonly lost?: number;
  readonly wrong?: number;
  readonly acknowledged?: number;
  readonly refused?: string;
}

/** Writes down what a writer asks of its disk until it has acknowledged enough. @returns the trace; null where nothing can be traced */
async function traced(run: number, { task }: TestContext): Promise<string | null> {
  const trace = join(directory, `trace-${run}`);
  const how = [
    '-D',
    '-f',
    '-qq',
    '-v',
    '-xx',
    '-s',
    '4194304',
    '-o',
    trace,
    '-e',
    `trace=${tracedCalls}`,
  ];
  const data = join(directory, `data-${run}`);
  // The tracer is not the parent: who is killed is the writer.
  const writer = [process.execPath, programOf('stash-writer'), data, String(seed + run), '1'];
  const strace = new Command('strace', [...how, ...writer]);
  strace.child.on('error', () => undefined);
  if (strace.child.pid === undefined) {
    task.meta.notRun = 'states after a loss of power: strace is not there';
    return null;
  }
  while (strace.out.split('\n').length < lines) await strace.grows(strace.out.length);
  await strace.stop('SIGKILL');
  return trace;
}

/** Opens some states; where the process dies, another goes on behind that one. */
async function explore(
  trace: string,
  of: number,
  synced: 'synced' | 'unsynced',
): Promise<{ seen: State[]; died: number[] }> {
  const seen: State[] = [];
  const died: number[] = [];
  for (let next = 0; next < of;) {
    const found = join(directory, 'found');
    const args = [programOf('stash-power'), trace, found, ...[seed, next, of].map(String), synced];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const told = createInterface({ input: child.stdout });
    let begun = next - 1;
    told.on('line', (line) => {
      const state = JSON.parse(line) as State;
      begun = state.state;
      if (state.lost !== undefined) seen.push(state);
    });
    const [[code]] = await Promise.all([once(child, 'exit'), once(told, 'close')]);
    if (code === 0) break;
    died.push(begun);
    next = begun + 1;
  }
  return { seen, died };
}

const isBad = ({ lost = 0, wrong = 0, refused }: State): boolean =>
  lost > 0 || wrong > 0 || refused !== undefined;

test(`[D4.3] ${states} states of a node after a loss of power: all open, and nothing acknowledged is lost`, async (context) => {
  let acknowledged = 0;
  for (let run = 0; run * statesPerRun < states; run++) {
    const trace = await traced(run, context);
    if (trace === null) return;
    const { seen, died } = await explore(trace, statesPerRun, 'synced');
    await rm(trace);
    expect(died, replay).toEqual([]);
    expect(seen).toHaveLength(statesPerRun);
    expect(seen.filter(isBad).slice(0, 3), replay).toEqual([]);
    acknowledged += seen.reduce((sum, one) => sum + (one.acknowledged ?? 0), 0);
  }
  // Keys that a state has to have.
  expect(acknowledged / states).toBeGreaterThan(100);
}, 14_400_000);

test('[D4.3] control: on a disk that says it has what it has not, acknowledged writes are lost', async (context) => {
  const trace = await traced(9_999, context);
  if (trace === null) return;
  const { seen, died } = await explore(trace, 40, 'unsynced');
  expect(seen.filter(isBad).length + died.length, replay).toBeGreaterThan(20);
}, 600_000);
