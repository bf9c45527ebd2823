import { isWaymarkError, type Namespace, type PathEntry } from 'waymark';
import {
  type Call,
  checkLinearizable,
  type CommitCall,
  type CommitInput,
  type CommitOutput,
  type CommitStep,
  type HistoryRecorder,
  type KnownEntry,
  type LoggedChange,
  type OpenCall,
  type SeenChange,
  type VersionedInput,
  versionedModel,
  type VersionedOutput,
  type WatchRecord,
} from 'waymark/testing';
import type { SeededRandom } from '../faults/random.js';

/** What clients do in a history, on ten keys: reads, writes, conditional writes, transactions; and what a watcher notes of it. */
export const keys = Array.from({ length: 10 }, (_, index) => `/k${index}`);
/** Written when all is done: watchers and logs end with it. */
export const sentinel = '/end';

/** A watch that cannot begin, as its engine is away, is begun anew for so long. */
const beginMsMax = 20_000;

/** Everything after a revision up to the sentinel, as whole revisions. */
export async function collect(namespace: Namespace<string>, after: number): Promise<WatchRecord[]> {
  const records: Told[] = [];
  const until = performance.now() + beginMsMax;
  for (;;) {
    try {
      await follow(namespace, after, records);
      return records;
    } catch (error) {
      const begun = records.length > 0 || performance.now() > until;
      if (begun || !isWaymarkError(error, 'unavailable')) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

interface Told {
  readonly type: 'batch';
  readonly revision: number;
  readonly changes: SeenChange[];
}

async function follow(namespace: Namespace<string>, after: number, records: Told[]): Promise<void> {
  for await (const event of namespace.watch('/', {
    tree: true,
    after,
    previous: true,
    locks: false,
  })) {
    if (event.kind !== 'put' && event.kind !== 'delete' && event.kind !== 'expire') {
      throw new Error(`unexpected ${event.kind} event`);
    }
    const { revision, path: key } = event;
    const facts =
      event.kind === 'put'
        ? {
            value: event.value,
            version: event.entry.version,
            createRevision: event.entry.createRevision,
          }
        : { value: '', version: 0, createRevision: 0 };
    const previous = event.previous === undefined ? undefined : known(event.previous);
    const change: SeenChange = { revision, key, kind: event.kind, ...facts, previous };
    const last = records.at(-1);
    if (last?.revision === revision) last.changes.push(change);
    else records.push({ type: 'batch', revision, changes: [change] });
    if (key === sentinel) return;
  }
}

function known(entry: PathEntry<string> | null): KnownEntry | null {
  if (entry === null) return null;
  const { value, revision, createRevision, version } = entry;
  return { value, revision, createRevision, version };
}

export interface Work {
  readonly namespace: Namespace<string>;
  readonly client: number;
  readonly random: SeededRandom;
  readonly recorder: HistoryRecorder<CommitInput, CommitOutput>;
  /** Asked before each call, with its number. */
  readonly goesOn: (number: number) => boolean;
  readonly how?: CallWays;
  /** Between two calls. */
  readonly pause?: () => Promise<void>;
}

export interface CallWays {
  /** A call is given up after so long. */
  readonly withinMs?: number;
  /** Reads may be behind: unsafe, as they are recorded like any other. */
  readonly stale?: boolean;
}

export async function work(options: Work): Promise<void> {
  const { namespace, client, random, recorder, goesOn, how = {}, pause } = options;
  /** Revisions as this client last saw them, for conditional writes. */
  const last = new Map<string, number>();
  for (let number = 0; goesOn(number); number++) {
    await pause?.();
    const input = choose(random, `${client}.${number}`, last);
    const call = recorder.begin(client, input);
    try {
      const output = await run(namespace, input, how);
      learn(input, output, last);
      call.ok(output);
    } catch (error) {
      settle(call, input, error);
    }
  }
}

/** Notes what a call that failed may have done. */
export function settle(call: OpenCall<CommitOutput>, input: CommitInput, error: unknown): void {
  const gaveUp = error instanceof DOMException && error.name === 'TimeoutError';
  if (isWaymarkError(error, 'conflict')) call.ok({ succeeded: false });
  else if (isWaymarkError(error, 'unavailable') || gaveUp) call.drop();
  else if (!isWaymarkError(error, 'uncertain')) throw error;
  else if (input.apply.every((step) => step.op === 'get')) call.drop();
  else call.unknown();
}

function choose(
  random: SeededRandom,
  name: string,
  last: ReadonlyMap<string, number>,
): CommitInput {
  const key = random.pick(keys);
  const kind = random.next();
  if (kind < 0.25) return { apply: [{ op: 'get', key }] };
  if (kind < 0.45) return { apply: [{ op: 'put', key, value: name }] };
  if (kind < 0.55) return { apply: [{ op: 'delete', key }] };
  const when = [{ key, revision: last.get(key) ?? 0 }];
  if (kind < 0.7) return { when, apply: [{ op: 'put', key, value: name }] };
  const others = keys.filter((other) => other !== key);
  const second = random.pick(others);
  const third = random.pick(others.filter((other) => other !== second));
  const reads: CommitStep[] = [key, second].map((one) => ({ op: 'get', key: one }));
  if (kind < 0.8) return { apply: reads };
  const apply: CommitStep[] = [
    { op: 'put', key, value: `${name}a` },
    random.next() < 0.3
      ? { op: 'delete', key: second }
      : { op: 'put', key: second, value: `${name}b` },
    { op: 'get', key: third },
  ];
  return kind < 0.9 ? { when, apply, otherwise: reads } : { apply };
}

/** Single steps go by the plain calls, the rest by `txn`. */
export async function run(
  namespace: Namespace<string>,
  input: CommitInput,
  { withinMs, stale }: CallWays = {},
): Promise<CommitOutput> {
  const signal = withinMs === undefined ? undefined : AbortSignal.timeout(withinMs);
  const [step] = input.apply;
  const ifRevision = input.when?.[0]?.revision;
  if (input.apply.length === 1 && step !== undefined) {
    if (step.op === 'get')
      return {
        succeeded: true,
        results: [known(await namespace.get(step.key, { stale, signal }))],
      };
    if (step.op === 'put') {
      const { revision } = await namespace.put(step.key, step.value, { ifRevision, signal });
      return { succeeded: true, revision, results: [null] };
    }
    const { revision, deleted } = await namespace.delete(step.key, { ifRevision, signal });
    return { succeeded: true, revision, results: [deleted] };
  }
  const outcome = await namespace.txn({
    when: (input.when ?? []).map(({ key, revision }) => ({ path: key, revision })),
    apply: input.apply.map(toOperation),
    otherwise: (input.otherwise ?? []).map(toOperation),
    signal,
  });
  const results = outcome.results.map((result) => {
    if (result.type === 'put') return null;
    return result.type === 'delete' ? result.deleted : known(result.entry);
  });
  return { succeeded: outcome.succeeded, revision: outcome.revision, results };
}

function toOperation(
  step: CommitStep,
): { put: string; value: string } | { delete: string } | { get: string } {
  if (step.op === 'put') return { put: step.key, value: step.value };
  return step.op === 'delete' ? { delete: step.key } : { get: step.key };
}

function learn(input: CommitInput, output: CommitOutput, last: Map<string, number>): void {
  const steps = (output.succeeded ? input.apply : input.otherwise) ?? [];
  steps.forEach((step, at) => {
    const result = output.results?.[at];
    if (step.op === 'put') last.set(step.key, output.revision ?? 0);
    else if (step.op === 'delete') last.set(step.key, 0);
    else if (typeof result === 'object') last.set(step.key, result?.revision ?? 0);
  });
}

/** What the search for an order of the calls has against them: that there is none, or that it gave up. */
export function orderFaults(calls: readonly CommitCall[], log: readonly LoggedChange[]): string[] {
  const verdict = checkLinearizable(versionedModel, perKey(calls, log));
  const { result, steps, partition, stuck } = verdict;
  if (result === 'ok') return [];
  const call = stuck === undefined ? '' : `: ${JSON.stringify(stuck)}`;
  return [`${result} order of ${partition}, after ${steps} steps${call}`];
}

/**
 * Each commit as one call per key, for a check that trusts no revision. What a commit did on one key is an operation of its own. Unknown
 * commits that put what the log never had took no effect, and are left out: a search would try each of them everywhere. Whether the
 * log lacks something is for the revision rules to say; a read of it would be a violation here, too.
 */
function perKey(
  calls: readonly CommitCall[],
  log: readonly LoggedChange[],
): Call<VersionedInput, VersionedOutput>[] {
  const found: Call<VersionedInput, VersionedOutput>[] = [];
  const logged = new Set(log.map(({ value }) => value));
  for (const { client, call, ret, input, output } of calls) {
    const puts = input.apply.filter((step) => step.op === 'put');
    if (output === undefined && puts.some(({ value }) => !logged.has(value))) continue;
    const conditions = new Map((input.when ?? []).map(({ key, revision }) => [key, revision]));
    const refused = output?.succeeded === false;
    const simple = input.apply.length === 1;
    const steps = refused && !simple ? (input.otherwise ?? []) : input.apply;
    steps.forEach((step, at) => {
      if (output === undefined && step.op === 'get') return;
      const value = step.op === 'put' ? step.value : undefined;
      const ifRevision = step.op === 'get' ? undefined : conditions.get(step.key);
      const one = { key: step.key, op: step.op, value, ifRevision };
      found.push({
        client,
        call,
        ret,
        input: one,
        output: output && toAnswer(step, output, at, refused && simple),
      });
    });
  }
  return found;
}

function toAnswer(
  step: CommitStep,
  output: CommitOutput,
  at: number,
  conflict: boolean,
): VersionedOutput {
  if (conflict) return { conflict };
  const result = output.results?.[at];
  const { revision } = output;
  if (step.op === 'get') return { entry: typeof result === 'object' ? result : null };
  return step.op === 'put'
    ? { revision }
    : { revision, deleted: typeof result === 'number' && result > 0 };
}
