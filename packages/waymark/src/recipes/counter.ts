import type { Check, Entry, Operation, OperationResult } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import { type RecipeGround, recipeCall } from '../core/recipe-call.js';
import * as shape from '../core/shape.js';
import { counterKey, latchKey } from '../space/layout.js';
import { checkCanonical, pathToBytes } from '../space/paths.js';
import { Grouped, type Job } from './grouped.js';

/**
 * Counters and latches (rules C1 to C6 in docs/spec/recipes.md): each one key. Additions that arrive together are one commit, and each is
 * told the sum after its own. A counter remembers no requests, so an addition whose answer was lost is `uncertain`, never repeated.
 */

type AddJob = Job<number, number>;

const additionsMax = 1_000;
const addsKey = Symbol('counter additions');

function additionsOf(ground: RecipeGround): Grouped<number, number> {
  return ground.remember(
    addsKey,
    () =>
      new Grouped<number, number>({
        fits: (queue) => Math.min(queue.length, additionsMax),
        work: (path, group) => addAll(ground, path, group),
      }),
  );
}

/** @returns the sum with it */
export const add = recipeCall({
  name: 'counter.add',
  verb: 0x7a,
  whenBroken: 'uncertain',
  args: shape.record({ path: shape.text, by: shape.number }),
  result: shape.number,
  async run(ground, { path, by }, options) {
    checkCanonical(path);
    checkNumber('what is added', by);
    return await additionsOf(ground).run(path, by, options);
  },
});

export const set = recipeCall({
  name: 'counter.set',
  verb: 0x7b,
  whenBroken: 'uncertain',
  args: shape.record({
    path: shape.text,
    value: shape.number,
    ifValue: shape.optional(shape.number),
  }),
  result: shape.record({ revision: shape.whole }),
  async run({ engine }, { path, value, ifValue }, options) {
    checkCanonical(path);
    checkNumber('the value', value);
    if (ifValue !== undefined) checkNumber('ifValue', ifValue);
    const key = counterKey(pathToBytes(path));
    const { succeeded, revision, results } = await engine.commit(
      {
        when: ifValue === undefined ? [] : [standsAt(key, ifValue)],
        apply: [{ type: 'put', key, value: String(value) }],
        otherwise: [{ type: 'read', key }],
      },
      options,
    );
    if (succeeded) return { revision };
    const found = entryIn(results);
    // What nobody has written is 0, and was not there to be compared.
    if (found === undefined && ifValue === 0) return await setFirst({ engine }, key, value, path);
    throw notAt(path, ifValue, valueOf(found), revision);
  },
});

/** @returns whether this call opened it */
export const openLatch = recipeCall({
  name: 'latch.open',
  verb: 0x7c,
  whenBroken: 'retry',
  args: shape.record({ path: shape.text }),
  result: shape.record({ opened: shape.flag, revision: shape.whole }),
  async run({ engine }, { path }, options) {
    checkCanonical(path);
    const key = latchKey(pathToBytes(path));
    const { succeeded, revision, results } = await engine.commit(
      {
        when: [{ key, target: 'version', is: '=', to: 0 }],
        apply: [{ type: 'put', key, value: '' }],
        otherwise: [{ type: 'read', key }],
      },
      options,
    );
    return { opened: succeeded, revision: entryIn(results)?.createRevision ?? revision };
  },
});

export const counterCalls = [add, set, openLatch] as const;

/** Of a counter nobody has written: 0. */
export function valueOf(entry: Entry | undefined): number {
  return entry === undefined ? 0 : Number(entry.value);
}

async function addAll(
  { engine }: RecipeGround,
  path: string,
  group: readonly AddJob[],
): Promise<void> {
  const key = counterKey(pathToBytes(path));
  for (;;) {
    const [found] = (await engine.read({ key })).entries;
    const sums: number[] = [];
    let sum = valueOf(found);
    for (const { args } of group) {
      if (Number.isSafeInteger(sum + args)) sum += args;
      sums.push(sum);
    }
    const { succeeded } = await engine.commit({
      when: [{ key, target: 'mod', is: '=', to: found?.modRevision ?? 0 }],
      apply: [{ type: 'put', key, value: String(sum) }],
    });
    if (succeeded) return settle(path, group, sums, valueOf(found));
  }
}

/** A sum that did not change by what was to be added would have passed the bound. */
function settle(
  path: string,
  group: readonly AddJob[],
  sums: readonly number[],
  before: number,
): void {
  let last = before;
  for (const [i, { args, resolve, reject }] of group.entries()) {
    const sum = sums[i] ?? last;
    if (sum === last + args) resolve(sum);
    else reject(beyond(path, last));
    last = sum;
  }
}

async function setFirst(
  { engine }: Pick<RecipeGround, 'engine'>,
  key: string,
  value: number,
  path: string,
): Promise<{ revision: number }> {
  const put: Operation = { type: 'put', key, value: String(value) };
  const when: Check[] = [{ key, target: 'version', is: '=', to: 0 }];
  const otherwise: Operation[] = [{ type: 'read', key }];
  const { succeeded, revision, results } = await engine.commit({ when, apply: [put], otherwise });
  if (succeeded) return { revision };
  throw notAt(path, 0, valueOf(entryIn(results)), revision);
}

function standsAt(key: string, value: number): Check {
  return { key, target: 'value', is: '=', to: String(value) };
}

function entryIn([result]: readonly OperationResult[]): Entry | undefined {
  return result?.type === 'read' ? result.reading.entries[0] : undefined;
}

function checkNumber(what: string, value: number): void {
  if (Number.isSafeInteger(value)) return;
  const span = '-(2^53-1) to 2^53-1';
  throw new WaymarkError('invalid', `${what} is a whole number from ${span}, not ${String(value)}`);
}

function notAt(
  path: string,
  wanted: number | undefined,
  value: number,
  revision: number,
): WaymarkError {
  const message = `the counter ${path} is at ${value}, not at ${wanted}: read it again`;
  return new WaymarkError('conflict', message, { path, revision });
}

function beyond(path: string, value: number): WaymarkError {
  const message = `the counter ${path} is at ${value}: that would pass 2^53-1`;
  return new WaymarkError('exhausted', message, { path });
}
