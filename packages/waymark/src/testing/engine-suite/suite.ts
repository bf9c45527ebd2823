import type { Engine } from '../../core/engine.js';
import type { FakeClock } from '../fake-clock.js';
import { atomicTests } from './atomic.js';
import { checkTests } from './checks.js';
import type { EngineContext, EngineTest } from './context.js';
import { historyTests } from './history.js';
import { keyTests } from './keys.js';
import { leaseIdTests } from './lease-ids.js';
import { leaseTests } from './leases.js';
import { limitTests } from './limits.js';
import { operationTests } from './operations.js';
import { orderTests } from './order.js';
import { outcomeTests } from './outcomes.js';
import { readTests } from './reads.js';
import { waistTests } from './waist.js';
import { watchTests } from './watches.js';

export type { EngineContext, EngineTest, Rule } from './context.js';

/** The suite as data, for whoever runs it without a test runner. */
export const engineTests: readonly EngineTest[] = [
  ...orderTests,
  ...atomicTests,
  ...checkTests,
  ...operationTests,
  ...keyTests,
  ...limitTests,
  ...readTests,
  ...watchTests,
  ...historyTests,
  ...leaseTests,
  ...leaseIdTests,
  ...outcomeTests,
  ...waistTests,
];

/** The two functions of a test runner that the suite needs; vitest's `describe` and `test` fit. */
export interface TestRunner {
  readonly describe: (name: string, body: () => void) => unknown;
  readonly test: (name: string, body: () => Promise<void>) => unknown;
}

export interface OpenedEngine {
  /** Empty, and used by one test alone. */
  readonly engine: Engine;
  /** The clock that the engine judges leases by, if it can be moved; else the suite waits in real time. */
  readonly clock?: FakeClock | undefined;
  close(): Promise<void>;
}

export interface EngineSuiteOptions {
  readonly name: string;
  readonly runner: TestRunner;
  readonly open: () => Promise<OpenedEngine>;
  /** Bytes the engine puts before every key: they count towards its limits. Default 0. */
  readonly keyOverheadBytes?: number | undefined;
  /** How long a test waits for what must come. Default 10 000. */
  readonly patienceMs?: number | undefined;
}

/**
 * Runs the rules K1 to K12 against an engine. Every engine and every wrapper of one passes all of it, unchanged: there are no
 * feature flags and no tests to leave out.
 *
 * @see docs/spec/keyspace.md
 */
export function engineSuite(options: EngineSuiteOptions): void {
  options.runner.describe(`engine suite on ${options.name}`, () => {
    for (const test of engineTests) {
      options.runner.test(test.name, () => runEngineTest(test, options));
    }
  });
}

/** Runs one test of the suite on an engine of its own. Rejects when the rule is broken. */
export async function runEngineTest(
  test: EngineTest,
  options: Omit<EngineSuiteOptions, 'name' | 'runner'>,
): Promise<void> {
  const opened = await options.open();
  const context: EngineContext = {
    engine: opened.engine,
    clock: opened.clock,
    keyOverheadBytes: options.keyOverheadBytes ?? 0,
    patienceMs: options.patienceMs ?? 10_000,
  };
  try {
    await test.run(context);
  } finally {
    await opened.close();
  }
}
