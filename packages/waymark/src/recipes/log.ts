import type { Check, Engine, Entry, Operation, OperationResult, Txn } from '../core/engine.js';
import type { HoldProof } from '../core/host.js';
import { WaymarkError } from '../core/errors.js';
import { limits } from '../core/limits.js';
import { type RecipeGround, recipeCall } from '../core/recipe-call.js';
import * as shape from '../core/shape.js';
import { checkCanonical } from '../space/paths.js';
import { checkName, checkWholeFrom, checkWord } from './checks.js';
import { Grouped, type Job } from './grouped.js';
import { holdMark } from './hold-mark.js';
import { holdWords, lostHold } from './wording.js';
import { dueForDrop, removalOf } from './log-retention.js';
import {
  decodeHead,
  emptyHead,
  encodeEntry,
  encodeHead,
  type LogHead,
  LogKeys,
} from './log-keys.js';

/**
 * Logs (rules J1 to J9 in docs/spec/recipes.md). An append is one commit guarded by the head's revision, which gives every entry the position after
 * the one before it; appends that arrive meanwhile go together into the next one (`grouped.ts`). Beside each entry stands a key of its request
 * id: the commit insists that it is absent, and where it is not, the entry is there already and its position is the answer.
 */

/** With a head, two keys an entry, what is dropped and the reads of a lost race, a commit stays within 128 operations. */
const appendsMax = 24;
const dropsMax = 50;
const dropsMaxAlone = 100;
const groupBytesMax = limits.valueBytesMax;
/** Heads that are remembered, so that an append needs no look first. */
const headsMax = 1_000;

interface Append {
  readonly id: string;
  /** As it is written: the author with it. */
  readonly encoded: string;
  /** What must stand. */
  readonly hold: HoldProof | undefined;
}

interface Appended {
  readonly position: number;
  readonly at: number;
  readonly revision: number;
  readonly repeated: boolean;
}

type AppendJob = Job<Append, Appended>;

interface KnownHead {
  readonly head: LogHead;
  /** Its modRevision: 0 for a log without entries. */
  readonly mod: number;
}

const absent: KnownHead = { head: emptyHead, mod: 0 };

interface Logs {
  readonly appends: Grouped<Append, Appended>;
  readonly heads: Map<string, KnownHead>;
}

const logsKey = Symbol('logs');

function logsOf(ground: RecipeGround): Logs {
  return ground.remember(logsKey, () => {
    const heads = new Map<string, KnownHead>();
    const work = async (path: string, group: readonly AppendJob[]): Promise<void> => {
      const known = heads.get(path) ?? absent;
      heads.delete(path);
      const last = await appendAll(ground, new LogKeys(path), known, group);
      heads.set(path, last);
      for (const [oldest] of heads) if (heads.size > headsMax) heads.delete(oldest);
    };
    return { heads, appends: new Grouped({ fits, work }) };
  });
}

/** @returns where the entry stands, also when a request with this id was answered before */
export const append = recipeCall({
  name: 'log.append',
  verb: 0x78,
  whenBroken: 'retry',
  args: shape.record({
    path: shape.text,
    id: shape.text,
    author: shape.text,
    value: shape.bytes,
    /** Only while this lock or term stands. */
    hold: shape.optional(shape.record({ path: shape.text, token: shape.whole })),
  }),
  result: shape.record({
    position: shape.whole,
    at: shape.whole,
    revision: shape.whole,
    repeated: shape.flag,
  }),
  async run(ground, { path, id, author, value, hold }, options) {
    checkCanonical(path);
    checkWord('id of an append', id);
    checkName('author of an entry', author);
    const encoded = encodeEntry(author, value);
    const max = limits.valueBytesMax - (encoded.length - value.length);
    if (value.length > max) {
      const facts = { path, limit: 'valueBytesMax', max, actual: value.length };
      throw new WaymarkError('too_large', `an entry takes at most ${max} bytes`, facts);
    }
    if (hold !== undefined) checkCanonical(hold.path);
    checkWholeFrom(1, 'token', hold?.token);
    return await logsOf(ground).appends.run(path, { id, encoded, hold }, options);
  },
});

/** Sets what the log keeps, and drops what is beyond it. @returns the first position that is kept, and the next */
export const retain = recipeCall({
  name: 'log.retain',
  verb: 0x79,
  whenBroken: 'retry',
  args: shape.record({
    path: shape.text,
    entries: shape.optional(shape.whole),
    ageMs: shape.optional(shape.whole),
  }),
  result: shape.record({ first: shape.whole, next: shape.whole }),
  async run(ground, { path, entries, ageMs }, options) {
    checkCanonical(path);
    checkWholeFrom(1, 'entries', entries);
    checkWholeFrom(1, 'ageMs', ageMs);
    const { engine, clock } = ground;
    const keys = new LogKeys(path);
    for (;;) {
      options?.signal?.throwIfAborted();
      const [found] = (await engine.read({ key: keys.head })).entries;
      const head: LogHead = { ...decodeHead(found), entries, ageMs };
      const at = Math.floor(clock.wallNow());
      const drop = await dueForDrop(engine, keys, head, { adding: 0, at, max: dropsMaxAlone });
      const next = { ...head, first: head.first + drop.length };
      const { succeeded } = await engine.commit({
        when: [{ key: keys.head, target: 'mod', is: '=', to: found?.modRevision ?? 0 }],
        apply: [
          { type: 'put', key: keys.head, value: encodeHead(next) },
          ...removalOf(keys, head, drop),
        ],
      });
      if (succeeded && drop.length < dropsMaxAlone) return { first: next.first, next: next.next };
    }
  },
});

export const logCalls = [append, retain] as const;

/** As many as one commit takes; a repeat of one that is in it waits for the next, and so does what is written under another hold. */
function fits(queue: readonly AppendJob[]): number {
  const ids = new Set<string>();
  const first = queue[0]?.args.hold;
  let bytes = 0;
  for (const { args } of queue) {
    bytes += args.encoded.length;
    const full = ids.size === appendsMax || bytes > groupBytesMax || ids.has(args.id);
    if (ids.size > 0 && (full || !sameHold(args.hold, first))) break;
    ids.add(args.id);
  }
  return ids.size;
}

function sameHold(one: HoldProof | undefined, other: HoldProof | undefined): boolean {
  return one?.path === other?.path && one?.token === other?.token;
}

/** @returns the head as it was left */
async function appendAll(
  ground: RecipeGround,
  keys: LogKeys,
  known: KnownHead,
  group: readonly AppendJob[],
): Promise<KnownHead> {
  const { engine } = ground;
  const hold = group[0]?.args.hold;
  // Looked up here and not before, so that appends keep their order.
  const mark = hold === undefined ? undefined : await holdMark(engine, hold);
  let last = known;
  let waiting = mark === null ? await refused(engine, keys, group) : group;
  while (waiting.length > 0) {
    // Never more at once than are kept, so that what an append drops is never what it puts.
    const now = waiting.slice(0, last.head.entries ?? appendsMax);
    const { txn, next, at } = await appendTxn(ground, keys, { last, now, mark: mark ?? null });
    const { succeeded, revision, results } = await engine.commit(txn);
    if (succeeded) {
      now.forEach(({ resolve }, i) =>
        resolve({ position: last.head.next + i, at, revision, repeated: false }),
      );
      last = { head: next, mod: revision };
      waiting = waiting.slice(now.length);
    } else {
      last = headIn(results);
      const repeats = new Set(now.filter((job, i) => answerRepeat(job, entryIn(results[i + 1]))));
      waiting = waiting.filter((job) => !repeats.has(job));
      const standing = mark && entryIn(results.at(-1))?.createRevision;
      if (standing !== mark?.createRevision) waiting = await refused(engine, keys, waiting);
    }
  }
  return last;
}

/** Puts the entries of `now` behind those that are there. */
async function appendTxn(
  { engine, clock }: RecipeGround,
  keys: LogKeys,
  {
    last,
    now,
    mark,
  }: {
    readonly last: KnownHead;
    readonly now: readonly AppendJob[];
    /** Of the hold they stand under. */
    readonly mark: Entry | null;
  },
): Promise<{ readonly txn: Txn; readonly next: LogHead; readonly at: number }> {
  const { head, mod } = last;
  const at = Math.floor(clock.wallNow());
  const drop = await dueForDrop(engine, keys, head, { adding: now.length, at, max: dropsMax });
  const next = { ...head, next: head.next + now.length, first: head.first + drop.length };
  const looked = [keys.head, ...now.map(({ args }) => keys.request(args.id))];
  const txn: Txn = {
    when: [
      { key: keys.head, target: 'mod', is: '=', to: mod },
      ...now.map(({ args }) => unused(keys, args.id)),
      ...(mark === null ? [] : [stands(mark)]),
    ],
    apply: [
      { type: 'put', key: keys.head, value: encodeHead(next) },
      ...now.flatMap(({ args }, i) => puts(keys, { ...args, position: head.next + i, at })),
      ...removalOf(keys, head, drop),
    ],
    otherwise: (mark === null ? looked : [...looked, mark.key]).map((key) => ({
      type: 'read',
      key,
    })),
  };
  return { txn, next, at };
}

/** Under a hold that is over: what was appended before that is told, and the rest is `lost`. */
async function refused(
  engine: Engine,
  keys: LogKeys,
  jobs: readonly AppendJob[],
): Promise<readonly []> {
  for (const job of jobs) {
    const [found] = (await engine.read({ key: keys.request(job.args.id) })).entries;
    if (!answerRepeat(job, found)) job.reject(lostHold(job.args.hold?.path ?? '', holdWords));
  }
  return [];
}

function stands({ key, createRevision }: Entry): Check {
  return { key, target: 'create', is: '=', to: createRevision };
}

function unused(keys: LogKeys, id: string): Check {
  return { key: keys.request(id), target: 'version', is: '=', to: 0 };
}

function puts(
  keys: LogKeys,
  {
    id,
    encoded,
    position,
    at,
  }: Omit<Append, 'hold'> & { readonly position: number; readonly at: number },
): Operation[] {
  return [
    { type: 'put', key: keys.entry({ position, at, id }), value: encoded },
    { type: 'put', key: keys.request(id), value: `${position} ${at}` },
  ];
}

function headIn([result]: readonly OperationResult[]): KnownHead {
  const entry = entryIn(result);
  return { head: decodeHead(entry), mod: entry?.modRevision ?? 0 };
}

/** @returns whether it had been appended before */
function answerRepeat({ resolve }: AppendJob, found: Entry | undefined): boolean {
  if (found === undefined) return false;
  const [position, at] = found.value.split(' ').map(Number) as [number, number];
  resolve({ position, at, revision: found.modRevision, repeated: true });
  return true;
}

function entryIn(result: OperationResult | undefined): Entry | undefined {
  return result?.type === 'read' ? result.reading.entries[0] : undefined;
}
