import type { CallOptions, Check, Operation } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import type { Explanation } from '../core/host.js';
import { recipeCall, type RecipeGround } from '../core/recipe-call.js';
import * as shape from '../core/shape.js';
import { onceFacet, onceKey } from '../space/layout.js';
import { checkCanonical, pathToBytes } from '../space/paths.js';
import { explain } from './lock-explain.js';
import { LockPlans } from './lock-plan.js';
import { acquire } from './lock.js';
import { checkRequest } from './lock-request.js';
import { type LockGround, release, removal } from './lock-writes.js';
import { lostHold, onceWords } from './wording.js';

/**
 * A job that runs once (rules O1 to O4 in docs/spec/recipes.md): who runs it holds a lock in a facet of its own, and what it came to is
 * recorded in the commit that releases the lock. The others queue for the lock and watch the record: when the runner's lease ends the
 * next in line alone is woken, and when it records all are answered.
 */

const locksKey = Symbol('once');
const exclusive = { tree: false, mode: 'exclusive' } as const;
const named = shape.record({ id: shape.text, path: shape.text });

function claims(ground: RecipeGround): LockGround {
  const { engine, clock } = ground;
  return ground.remember(locksKey, () => ({
    engine,
    clock,
    plans: new LockPlans(onceFacet),
    words: onceWords,
    namespace: engine,
  }));
}

/** The claim's token, or what was recorded; neither with `waitMs: 0` while another runs it. */
export interface Claimed {
  readonly token: number | null;
  readonly record: string | null;
}

/** Gives a claim back, so that the next runs the job. @returns whether it stood */
export const unclaim = recipeCall({
  name: 'once.unclaim',
  verb: 0x94,
  whenBroken: 'retry',
  args: named,
  result: shape.flag,
  run: (ground, { id, path }) => release(claims(ground), { id, path, ...exclusive }),
});

export const claim = recipeCall({
  name: 'once.claim',
  verb: 0x93,
  whenBroken: 'retry',
  waits: true,
  args: shape.record({
    id: shape.text,
    path: shape.text,
    lease: shape.leaseId,
    owner: shape.text,
    session: shape.text,
    waitMs: shape.optional(shape.number),
  }),
  result: shape.record({
    token: shape.nullable(shape.whole),
    record: shape.nullable(shape.bytes),
  }),
  undo: ({ id, path }) => ({ call: unclaim, args: { id, path } }),
  async run(ground, args, options): Promise<Claimed> {
    checkRequest({ ...args, ...exclusive });
    checkCanonical(args.path);
    const { entries, revision } = await ground.engine.read({ key: recordOf(args.path) }, options);
    if (entries[0] !== undefined) return { token: null, record: entries[0].value };
    const recorded = new AbortController();
    const stop = linked(recorded, options?.signal);
    const record = watchRecord(ground, args.path, revision, recorded);
    try {
      const token = await acquire(claims(ground), { ...args, ...exclusive }, stop.options);
      return await claimed(ground, args, token);
    } catch (error) {
      if (recorded.signal.reason !== isRecorded) throw error;
      const [entry] = (await ground.engine.read({ key: recordOf(args.path) })).entries;
      if (entry === undefined) throw forgotten(args.path);
      return { token: null, record: entry.value };
    } finally {
      stop.unlink();
      recorded.abort();
      await record;
    }
  },
});

/** Records what the job came to and gives the claim back, in one commit. @throws {WaymarkError} `lost` when the claim is another's */
export const settle = recipeCall({
  name: 'once.settle',
  verb: 0x95,
  whenBroken: 'retry',
  args: shape.record({
    id: shape.text,
    path: shape.text,
    token: shape.whole,
    record: shape.bytes,
  }),
  result: shape.whole,
  async run(ground, { id, path, token, record }) {
    const { engine, plans } = claims(ground);
    const keys = plans.of({ path, ...exclusive }).keysOf(id);
    const key = recordOf(path);
    const when: Check[] = [
      { key: keys.mark, target: 'create', is: '=', to: token },
      { key, target: 'version', is: '=', to: 0 },
    ];
    const put: Operation = { type: 'put', key, value: record };
    const outcome = await engine.commit({
      when,
      apply: [put, ...removal(keys)],
      otherwise: [{ type: 'read', key }],
    });
    if (outcome.succeeded) return outcome.revision;
    const [found] = outcome.results;
    const entry = found?.type === 'read' ? found.reading.entries[0] : undefined;
    // A repeated request finds what the first one recorded.
    if (entry?.value === record) return entry.createRevision;
    throw lostHold(path, onceWords);
  },
});

/** @returns whether anything was recorded */
export const forget = recipeCall({
  name: 'once.forget',
  verb: 0x96,
  whenBroken: 'retry',
  args: shape.record({ path: shape.text }),
  result: shape.flag,
  async run({ engine }, { path }) {
    checkCanonical(path);
    const { results } = await engine.commit({ apply: [{ type: 'delete', key: recordOf(path) }] });
    return results.some((result) => result.type === 'delete' && result.deleted > 0);
  },
});

/** Who runs it and who waits, and what was recorded by then. */
export const explainOnce = recipeCall({
  name: 'once.explain',
  verb: 0xb0,
  whenBroken: 'retry',
  args: shape.record({ path: shape.text }),
  result: shape.record({
    queue: shape.json<Explanation>(),
    record: shape.nullable(shape.bytes),
    /** The revision of the record; 0 without one. */
    at: shape.whole,
  }),
  async run(ground, { path }) {
    checkCanonical(path);
    const queue = await explain(claims(ground), { path, ...exclusive });
    const query = { key: recordOf(path), at: queue.revision };
    const [entry] = (await ground.engine.read(query)).entries;
    return { queue, record: entry?.value ?? null, at: entry?.modRevision ?? 0 };
  },
});

export const onceCalls = [claim, unclaim, settle, forget, explainOnce] as const;

const isRecorded = Symbol('recorded');

function recordOf(path: string): string {
  return onceKey(pathToBytes(path));
}

/** Who was granted the lock by a release that recorded has nothing to run. */
async function claimed(
  ground: RecipeGround,
  { id, path }: shape.TypeOf<typeof named>,
  token: number | null,
): Promise<Claimed> {
  const [entry] = (await ground.engine.read({ key: recordOf(path) })).entries;
  if (entry === undefined) return { token, record: null };
  if (token !== null) await release(claims(ground), { id, path, ...exclusive });
  return { token: null, record: entry.value };
}

/** Aborts `recorded` once the record is written; ends with it. */
async function watchRecord(
  { engine }: RecipeGround,
  path: string,
  after: number,
  recorded: AbortController,
): Promise<void> {
  const { signal } = recorded;
  try {
    for await (const { changes } of engine.watch([{ key: recordOf(path) }], { after, signal })) {
      if (changes.some(({ kind }) => kind === 'put')) return recorded.abort(isRecorded);
    }
  } catch {
    // The queue goes on without it: who is granted the claim looks for the record first.
  }
}

/** A caller's signal aborts this one, too. */
function linked(
  own: AbortController,
  signal: AbortSignal | undefined,
): { readonly options: CallOptions; readonly unlink: () => void } {
  const abort = (): void => own.abort(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  if (signal?.aborted === true) abort();
  return {
    options: { signal: own.signal },
    unlink: () => signal?.removeEventListener('abort', abort),
  };
}

function forgotten(path: string): WaymarkError {
  const why = `what ${path} came to was recorded and forgotten again meanwhile: call once more`;
  return new WaymarkError('unavailable', why, { path });
}
