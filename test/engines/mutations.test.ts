import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { engineTests, type OpenedEngine, propertySuite, runEngineTest } from 'waymark/testing';
import { openMemory } from './engines.js';
import { type Mutation, mutations, nothingPlanted } from './mutations.js';

/** Breaking a rule turns a test of that rule red: the record of the mutations tried is mutations.ts. */
const rules = Array.from({ length: 12 }, (_, n) => `K${n + 1}`);
const patienceMs = 300;

function openWith(plant: Mutation['plant']): () => Promise<OpenedEngine> {
  return async () => {
    const opened = await openMemory();
    return { ...opened, engine: plant(opened.engine) };
  };
}

test.each(mutations)('[$rule] caught: $fault', async ({ rule, plant }) => {
  const open = openWith(plant);
  const caught: string[] = [];
  for (const engineTest of engineTests.filter((one) => one.rule === rule)) {
    const failure = await runEngineTest(engineTest, { open, patienceMs }).then(
      () => null,
      (error: unknown) => error,
    );
    if (failure !== null) caught.push(engineTest.name);
  }
  expect(caught).not.toEqual([]);
});

test('[K12] the wrapper that faults are planted with passes everything without one', async () => {
  for (const engineTest of engineTests)
    await runEngineTest(engineTest, { open: openWith(nothingPlanted) });
});

test.each(['K1', 'K2', 'K3', 'K4', 'K7', 'K8', 'K9', 'K10'])(
  '[%s] the property suite catches mutations of it too, with a seed and few steps',
  async (rule) => {
    const caught: string[] = [];
    for (const { plant } of mutations.filter((one) => one.rule === rule)) {
      let body = async (): Promise<void> => undefined;
      const runner = {
        describe: (_: string, tests: () => void) => tests(),
        test: (_: string, run: () => Promise<void>) => (body = run),
      };
      const asked = { name: rule, runner, patienceMs, runs: 4, steps: 60, replay: 'here' };
      propertySuite({ ...asked, seed: 1, open: openWith(plant) });
      await body().catch((error: unknown) => caught.push(String(error)));
    }
    expect(caught.length, rule).toBeGreaterThan(0);
    for (const message of caught) expect(message).toMatch(/again: WAYMARK_SEED=1 here/);
  },
);

test('[K12] every rule has several tests, and mutations that they catch', () => {
  for (const rule of rules) {
    expect(engineTests.filter((one) => one.rule === rule).length, rule).toBeGreaterThan(2);
    expect(mutations.filter((one) => one.rule === rule).length, rule).toBeGreaterThan(2);
  }
  expect(engineTests.every(({ rule, name }) => name.startsWith(`[${rule}] `))).toBe(true);
});

test('[K12] the suite names no engine and leaves nothing out', () => {
  const folder = new URL('../../packages/waymark/src/testing/engine-suite/', import.meta.url);
  const files = [
    'atomic',
    'checks',
    'context',
    'history',
    'keys',
    'leases',
    'limits',
    'operations',
  ];
  for (const name of [...files, 'order', 'outcomes', 'reads', 'suite', 'waist', 'watches']) {
    const text = readFileSync(new URL(`${name}.ts`, folder), 'utf8');
    expect(text, name).not.toMatch(
      /\b(memory|file|etcd|postgres|remote|skip)\b.{0,20}engine|\bskip\(/i,
    );
  }
});
