import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { EngineContext } from '../engine-suite/context.js';
import type { EngineSuiteOptions } from '../engine-suite/suite.js';
import { type Coverage, PropertyRun } from './run.js';
import { anyStep, type Step } from './steps.js';

export type { Step } from './steps.js';

export interface PropertySuiteOptions extends EngineSuiteOptions {
  /** How many runs, each on a new engine. */
  readonly runs: number;
  /** Steps of one run. Default 200. */
  readonly steps?: number | undefined;
  /** Repeats what a failure has told; default: a new one each time. */
  readonly seed?: number | undefined;
  /** How to run this suite again: printed on failure after `WAYMARK_SEED=…`. */
  readonly replay: string;
}

/** What every suite of at least 50 000 steps must have met, or its generator has gone blind. */
const mustMeet = [
  ...['put', 'delete', 'delete of many', 'read', 'txn', 'checks hold', 'checks fail'],
  ...[
    'nested put',
    'nested delete',
    'nested read',
    'nested txn',
    'nested checks hold',
    'nested checks fail',
  ],
  ...[
    'read now',
    'read of the past',
    'compact',
    'grant',
    'renew',
    'revoke',
    'revoke with keys',
    'lease',
    'status',
  ],
  ...[
    'refused: invalid',
    'refused: not_found',
    'refused: conflict',
    'refused: compacted',
    'refused: future_revision',
  ],
  ...['watch complete', 'watch compacted'],
] as const;
const mustMeetWithClock = ['advance', 'expire'] as const;
const enoughSteps = 5_000;

/**
 * Random operations on an engine and on the model of one (testing/model.ts), step by step; watches run beside and are compared
 * at the end of each run. A failing run is cut down to the steps that are needed, and told with its seed.
 */
export function propertySuite(options: PropertySuiteOptions): void {
  const { steps = 200, runs } = options;
  options.runner.describe(`property suite on ${options.name}`, () => {
    options.runner.test(`${runs} runs of ${steps} steps as the model says`, async () => {
      const coverage: Coverage = new Map();
      let clock = true;
      await checkRuns(options, async (sequence) => {
        clock = (await runSteps(options, sequence, coverage)) && clock;
      });
      if (options.seed !== undefined || runs * steps < enoughSteps) return;
      const names = clock ? [...mustMeet, ...mustMeetWithClock] : mustMeet;
      const missed = names.filter((name) => !coverage.has(name));
      assert.deepEqual(missed, [], 'the generator meets every operation, branch and refusal');
    });
  });
}

async function checkRuns(
  options: PropertySuiteOptions,
  run: (sequence: readonly Step[]) => Promise<void>,
): Promise<void> {
  const { steps = 200, runs } = options;
  const length = { minLength: steps, maxLength: steps };
  const property = fc.asyncProperty(fc.array(anyStep, length), run);
  const asked = options.seed === undefined ? {} : { seed: options.seed };
  const details = await fc.check(property, { numRuns: runs, endOnFailure: true, ...asked });
  if (!details.failed) return;
  const sequence = details.counterexample?.[0] ?? [];
  const needed = await cutDown(sequence, run);
  const cause = await failureOf(run, needed);
  const lines = needed.map((step) => JSON.stringify(step)).join('\n');
  throw new Error(
    `run ${details.numRuns} of seed ${details.seed} leaves the model; ${needed.length} steps are enough:\n${lines}\n` +
      `again: WAYMARK_SEED=${details.seed} ${options.replay}\n${String(cause)}`,
    { cause },
  );
}

/** Takes the steps on a new engine. @returns whether the engine offered a clock */
export async function runSteps(
  options: Pick<EngineSuiteOptions, 'open' | 'patienceMs'>,
  sequence: readonly Step[],
  coverage: Coverage = new Map(),
): Promise<boolean> {
  const opened = await options.open();
  const { engine, clock } = opened;
  const context: EngineContext = {
    engine,
    clock,
    keyOverheadBytes: 0,
    patienceMs: options.patienceMs ?? 10_000,
  };
  try {
    const run = new PropertyRun(context, coverage);
    for (const step of sequence) await run.step(step);
    await run.finish();
  } finally {
    await opened.close();
  }
  return clock !== undefined;
}

/** Leaves out ever smaller pieces as long as what is left still fails (delta debugging, Zeller 1999). */
async function cutDown(
  sequence: readonly Step[],
  run: (sequence: readonly Step[]) => Promise<void>,
): Promise<readonly Step[]> {
  let needed = sequence;
  for (
    let size = Math.ceil(needed.length / 2);
    size >= 1;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  ) {
    for (let from = 0; from < needed.length;) {
      const without = [...needed.slice(0, from), ...needed.slice(from + size)];
      if ((await failureOf(run, without)) === null) from += size;
      else needed = without;
    }
  }
  return needed;
}

async function failureOf(
  run: (sequence: readonly Step[]) => Promise<void>,
  sequence: readonly Step[],
): Promise<unknown> {
  try {
    await run(sequence);
    return null;
  } catch (error) {
    return error;
  }
}
