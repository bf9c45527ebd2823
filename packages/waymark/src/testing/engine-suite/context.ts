import assert from 'node:assert/strict';
import type {
  Batch,
  ByteString,
  Change,
  Engine,
  Entry,
  KeyRange,
  Operation,
  Outcome,
  PutOperation,
  Query,
  Txn,
  WatchOptions,
} from '../../core/engine.js';
import { type ErrorCode, WaymarkError } from '../../core/errors.js';
import { systemClock } from '../../core/system-clock.js';
import type { FakeClock } from '../fake-clock.js';

/** What one test runs on: an engine of its own, empty. */
export interface EngineContext {
  readonly engine: Engine;
  /** The engine's clock, where it can be moved; else leases end in real time. */
  readonly clock?: FakeClock | undefined;
  /** Bytes the engine puts before every key, which count towards the limits (K6). */
  readonly keyOverheadBytes: number;
  /** How long a test waits for what must come before it says that it did not. */
  readonly patienceMs: number;
}

export type Rule =
  'K1' | 'K2' | 'K3' | 'K4' | 'K5' | 'K6' | 'K7' | 'K8' | 'K9' | 'K10' | 'K11' | 'K12';

/** A test as data: it runs in any test runner, or without one. It fails by rejecting. */
export interface EngineTest {
  readonly rule: Rule;
  /** Begins with the rule: `[K3] …`. */
  readonly name: string;
  run(context: EngineContext): Promise<void>;
}

export function testsOf(
  rule: Rule,
  tests: Readonly<Record<string, (context: EngineContext) => Promise<void>>>,
): EngineTest[] {
  return Object.entries(tests).map(([title, run]) => ({ rule, name: `[${rule}] ${title}`, run }));
}

export const everything: KeyRange = { key: '', end: '' };

export function put(
  key: ByteString,
  value: ByteString = '',
  more: Partial<PutOperation> = {},
): PutOperation {
  return { type: 'put', key, value, ...more };
}

export function apply(engine: Engine, ...operations: Operation[]): Promise<Outcome> {
  return engine.commit({ apply: operations });
}

/** Puts the keys one after the other, each with its own commit. @returns the revisions */
export async function putEach(engine: Engine, ...keys: ByteString[]): Promise<number[]> {
  const revisions: number[] = [];
  for (const key of keys)
    revisions.push((await apply(engine, put(key, `value of ${key}`))).revision);
  return revisions;
}

export async function entryOf(engine: Engine, key: ByteString): Promise<Entry | null> {
  return (await engine.read({ key })).entries[0] ?? null;
}

export async function keysOf(engine: Engine, query: Query = everything): Promise<ByteString[]> {
  return (await engine.read(query)).entries.map((entry) => entry.key);
}

/** Whether the transaction's checks hold. It changes nothing. */
export async function holds(engine: Engine, when: Txn['when']): Promise<boolean> {
  return (await engine.commit({ when })).succeeded;
}

/** Waits for the refusal. @returns the error, for its facts */
export async function refused(call: Promise<unknown>, code: ErrorCode): Promise<WaymarkError> {
  const error = await failureOf(call);
  assert.ok(error instanceof WaymarkError, `a WaymarkError with ${code}, not ${String(error)}`);
  assert.equal(error.code, code, error.message);
  return error;
}

export async function failureOf(call: Promise<unknown>): Promise<unknown> {
  let value: unknown;
  try {
    value = await call;
  } catch (error) {
    return error;
  }
  return assert.fail(`it was answered with ${JSON.stringify(value)} instead of being refused`);
}

/** Asserts that what `run` does leaves every entry and the revision as they were. */
export async function unchangedBy(engine: Engine, run: () => Promise<unknown>): Promise<void> {
  const before = await engine.read(everything);
  await run();
  assert.deepEqual(await engine.read(everything), before);
}

/** Bounds a wait: rejects with `what` when nothing came within the test's patience. */
export async function soon<T>(context: EngineContext, what: string, wait: Promise<T>): Promise<T> {
  let cancel = (): void => {};
  const late = new Promise<never>((_, reject) => {
    cancel = systemClock.after(context.patienceMs, () => reject(new Error(`never came: ${what}`)));
  });
  try {
    return await Promise.race([wait, late]);
  } finally {
    cancel();
  }
}

/** Lets the event loop turn once, so that a loop of calls that are answered at once starves nobody. */
export function turn(): Promise<void> {
  return new Promise((resolve) => systemClock.nextTurn(resolve));
}

/** A watch under test: it checks the form of every batch (K8) while it collects the changes. */
export class Watching {
  readonly batches: Batch[] = [];
  readonly changes: Change[] = [];
  readonly #context: EngineContext;
  readonly #iterator: AsyncIterator<Batch>;
  #told: number;

  constructor(context: EngineContext, ranges: readonly KeyRange[], options: WatchOptions = {}) {
    this.#context = context;
    this.#told = options.after ?? -1;
    this.#iterator = context.engine.watch(ranges, options)[Symbol.asyncIterator]();
  }

  /** The revision to resume after. */
  get told(): number {
    return this.#told;
  }

  async pull(): Promise<Batch> {
    const seen = JSON.stringify(this.changes.slice(-4).map(describeChange));
    const result = await soon(
      this.#context,
      `a batch after ${this.changes.length} changes, the last ${seen}`,
      this.#iterator.next(),
    );
    assert.ok(result.done !== true, 'a watch does not end by itself');
    this.#take(result.value);
    return result.value;
  }

  /** Pulls until there are at least so many changes. */
  async collect(count: number): Promise<readonly Change[]> {
    while (this.changes.length < count) await this.pull();
    return this.changes;
  }

  /** Pulls until the watch fails. @returns why */
  async failure(): Promise<unknown> {
    for (;;) {
      const next = this.pull();
      try {
        await next;
      } catch (error) {
        return error;
      }
    }
  }

  async leave(): Promise<void> {
    await soon(this.#context, 'the end of a watch that is left', this.#return());
  }

  async #return(): Promise<void> {
    await this.#iterator.return?.();
  }

  #take(batch: Batch): void {
    let last = this.#told;
    for (const { entry } of batch.changes) {
      assert.ok(
        entry.modRevision > this.#told,
        'a batch holds only what came after the one before',
      );
      assert.ok(entry.modRevision >= last, 'changes come in the order of their revisions');
      last = entry.modRevision;
    }
    assert.ok(batch.revision >= last, 'a batch ends at or after its last change');
    this.#told = batch.revision;
    this.batches.push(batch);
    this.changes.push(...batch.changes);
  }
}

/** Opens a watch from now on and waits until it stands. */
export async function watchFromNow(
  context: EngineContext,
  ranges: readonly KeyRange[],
  options: WatchOptions = {},
): Promise<Watching> {
  const watching = new Watching(context, ranges, options);
  const first = await watching.pull();
  assert.deepEqual(first.changes, [], 'a watch from now on begins with a bookmark');
  return watching;
}

/** `put a@3`, for messages and for comparing with what was expected. */
export function describeChange({ kind, entry }: Change): string {
  return `${kind} ${entry.key}@${entry.modRevision}`;
}
