import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as bounded } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openFileEngine } from 'waymark/engine';
import { followHistory, Ledger, type LedgerReport, wholeState } from './ledger.js';
import { seededRandom, seedOf } from './seeded-random.js';

const rounds = process.env['WAYMARK_LONG'] === '1' ? 3_000 : 60;
const seed = seedOf(20_261_123);
const replay = `WAYMARK_SEED=${seed} npx vitest run test/durability/kill.test.ts`;
const program = fileURLToPath(new URL('../dist/durability/loaded-writer.js', import.meta.url));

let directory: string;
beforeAll(async () => (directory = await mkdtemp(join(tmpdir(), 'waymark-kill-'))));
afterAll(() => rm(directory, { recursive: true, force: true }));

interface Writer {
  readonly child: ChildProcess;
  readonly ready: Promise<void>;
  /** Resolves when the process is gone and all it told is entered. */
  readonly gone: Promise<void>;
}

function startWriter(
  data: string,
  ledger: Ledger,
  of: { seed: number; serial: number; needed?: number },
): Writer {
  const args = [program, data, String(of.seed), String(of.serial), String(of.needed ?? 0)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  let isReady: () => void;
  const ready = new Promise<void>((resolve) => (isReady = resolve));
  lines.on('line', (line) => {
    // The last line may be cut by the kill; what it told is then not acknowledged.
    if (!line.endsWith('}')) return;
    const report = JSON.parse(line) as LedgerReport | { type: 'ready' };
    if (report.type === 'ready') isReady();
    else ledger.enter(report);
  });
  const gone = Promise.all([once(child, 'exit'), once(lines, 'close')]).then(() => undefined);
  return { child, ready, gone };
}

test(`[G12] ${rounds} kills under load: nothing acknowledged is lost, nothing comes back, revisions never go down`, async () => {
  const random = seededRandom(seed);
  const data = join(directory, 'rounds');
  const ledger = new Ledger(random);
  let acknowledged = 0;
  let needed = 0;
  let older = 0;
  for (let round = 0; round < rounds; round++) {
    // History is needed from the last 3 to 6 rounds on.
    if (round % 3 === 0) [older, needed] = [needed, acknowledged];
    const of = { seed: seed + round, serial: round * 1e9, needed: older };
    const writer = startWriter(data, ledger, of);
    // One in ten is killed at some moment of its start or its recovery.
    if (round % 10 !== 9) await Promise.race([writer.ready, writer.gone]);
    await bounded(random.next() * 800);
    writer.child.kill('SIGKILL');
    await writer.gone;
    expect(writer.child.signalCode, `round ${round}; ${replay}`).toBe('SIGKILL');
    const before = ledger.acknowledged;
    const after = older;
    const engine = await openFileEngine(data, { history: { needed: () => after } });
    const state = await wholeState(engine);
    expect(await followHistory(engine), replay).toBeLessThanOrEqual(after);
    await engine[Symbol.asyncDispose]();
    expect(() => ledger.verify(state), `round ${round}; ${replay}`).not.toThrow();
    expect(state.revision).toBeGreaterThanOrEqual(before);
    acknowledged = state.revision;
    if (round % 500 === 499) console.log(`${round + 1} kills: ${acknowledged} revisions, 0 lost`);
  }
  console.log(`${rounds} kills, seed ${seed}: ${acknowledged} revisions, 0 lost`);
  expect(acknowledged).toBeGreaterThan(rounds * 100);
  expect((await readdir(data)).some((name) => name.startsWith('snapshot-'))).toBe(true);
}, 7_200_000);

test('[K10] a directory has one process: the second is told which, and may have it when the first is dead', async () => {
  const data = join(directory, 'shared');
  const ledger = new Ledger(seededRandom(seed));
  const writer = startWriter(data, ledger, { seed, serial: 0 });
  await writer.ready;
  const taken = openFileEngine(data);
  await expect(taken).rejects.toMatchObject({ code: 'taken', facts: { file: data } });
  await expect(taken).rejects.toThrow(`process ${writer.child.pid} on ${hostname()}`);
  await expect(taken).rejects.toThrow('waymark serve');
  writer.child.kill('SIGKILL');
  await writer.gone;
  const engine = await openFileEngine(data);
  ledger.verify(await wholeState(engine));
  await expect(openFileEngine(data)).rejects.toMatchObject({ code: 'taken' });
  await engine[Symbol.asyncDispose]();
});
