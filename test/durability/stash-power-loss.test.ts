import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test, type TestContext } from 'vitest';
import { Command } from '../support/command.js';
import { tracedCalls } from './disk-calls.js';
import { seedOf } from './seeded-random.js';
import type { PowerLosses, SeenState } from './stash-power.js';

const states = process.env['WAYMARK_LONG'] === '1' ? 20_000 : 500;
/** Of one run of a writer: the next begins with one of them. */
const statesPerRun = 250;
/** Of a writer, until it is killed. */
const lines = 300;
const seed = seedOf(20_261_125);
const replay = `WAYMARK_SEED=${seed} npx vitest run test/durability/stash-power-loss.test.ts`;
const programOf = (name: string): string =>
  fileURLToPath(new URL(`../dist/durability/${name}.js`, import.meta.url));

let directory: string;
beforeEach(async () => (directory = await mkdtemp(join(tmpdir(), 'waymark-stash-power-'))));
afterEach(() => rm(directory, { recursive: true, force: true }));

/** Writes down what a writer asks of its disk until it has said enough. @returns the trace; null where nothing can be traced */
async function traced(
  run: number,
  before: PowerLosses['before'],
  { task }: TestContext,
): Promise<string | null> {
  const trace = join(directory, `trace-${run}`);
  const data = join(directory, `data-${run}`);
  await mkdir(data);
  if (before !== undefined) await copyFile(before.file, join(data, 'data.mdb'));
  const how = ['-D', '-f', '-qq', '-v', '-xx', '-s', '4194304', '-o', trace];
  // The tracer is not the parent: who is killed is the writer.
  const writer = [process.execPath, programOf('stash-writer'), data, String(seed + run), '1'];
  const strace = new Command('strace', [...how, '-e', `trace=${tracedCalls}`, ...writer]);
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
  of: Omit<PowerLosses, 'directory' | 'seed' | 'from'>,
): Promise<{ seen: SeenState[]; died: number[] }> {
  const seen: SeenState[] = [];
  const died: number[] = [];
  for (let from = 0; from < of.to;) {
    const asked: PowerLosses = { ...of, directory, seed, from };
    const child = spawn(process.execPath, [programOf('stash-power'), JSON.stringify(asked)], {
      stdio: ['ignore', 'pipe', of.synced ? 'inherit' : 'ignore'],
    });
    const told = createInterface({ input: child.stdout });
    let begun = from - 1;
    told.on('line', (line) => {
      const state = JSON.parse(line) as SeenState;
      begun = state.state;
      if (state.lost !== undefined) seen.push(state);
    });
    const [[code]] = await Promise.all([once(child, 'exit'), once(told, 'close')]);
    if (code === 0) break;
    died.push(begun);
    from = begun + 1;
  }
  return { seen, died };
}

const isBad = ({ lost = 0, wrong = 0, refused }: SeenState): boolean =>
  lost > 0 || wrong > 0 || refused !== undefined;

test(`[D4.3] ${states} states of a node after a loss of power, half of them after a second one: all open, and nothing acknowledged is lost`, async (context) => {
  let acknowledged = 0;
  let before: PowerLosses['before'];
  for (let run = 0; run * statesPerRun < states; run++) {
    const trace = await traced(run, before, context);
    if (trace === null) return;
    const asked = { trace, to: statesPerRun, synced: true, ...(before && { before }) };
    const { seen, died } = await explore(asked);
    await rm(trace);
    expect(died, `run ${run}; ${replay}`).toEqual([]);
    expect(seen).toHaveLength(statesPerRun);
    expect(seen.filter(isBad).slice(0, 3), `run ${run}; ${replay}`).toEqual([]);
    acknowledged += seen.reduce((sum, one) => sum + (one.acknowledged?.length ?? 0), 0);
    const file = join(directory, `before-${run}`);
    await copyFile(join(directory, 'data.mdb'), file);
    before = run % 2 === 1 ? undefined : { file, acknowledged: seen.at(-1)?.acknowledged ?? [] };
  }
  // Keys that a state has to have.
  expect(acknowledged / states).toBeGreaterThan(100);
}, 14_400_000);

test('[D4.3] control: on a disk that says it has what it has not, acknowledged writes are lost', async (context) => {
  const trace = await traced(9_999, undefined, context);
  if (trace === null) return;
  const { seen, died } = await explore({ trace, to: 10, synced: false });
  expect(seen.filter(isBad).length + died.length, replay).toBeGreaterThan(4);
}, 600_000);
