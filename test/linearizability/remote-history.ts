import { isWaymarkError, type Namespace, open, type PathEntry } from 'waymark';
import {
  type Call,
  type CommitCall,
  type CommitInput,
  type CommitOutput,
  type CommitStep,
  HistoryRecorder,
  type KnownEntry,
  type LoggedChange,
  type SeenChange,
  type VersionedInput,
  type VersionedOutput,
  type WatchRecord,
} from 'waymark/testing';
import { FaultProxy } from '../faults/proxy.js';
import { SeededRandom } from '../faults/random.js';

export interface HistoryOptions {
  /** The server's own address. */
  readonly url: string;
  readonly namespace: string;
  readonly seed: number;
  readonly clients: number;
  readonly operations: number;
}

export interface RecordedHistory {
  readonly calls: readonly CommitCall[];
  readonly log: readonly LoggedChange[];
  /** What two watchers met that ran along behind the faults. */
  readonly watched: readonly (readonly WatchRecord[])[];
  readonly after: number;
  readonly cuts: number;
}

const keys = Array.from({ length: 10 }, (_, index) => `/k${index}`);
const sentinel = '/end';

/** Clients work on ten keys through a proxy that cuts their connections at random, while two watchers look on. */
export async function recordHistory(options: HistoryOptions): Promise<RecordedHistory> {
  const random = new SeededRandom(options.seed);
  await using proxy = await FaultProxy.open(options.url);
  await using direct = await open(options.url);
  const namespace = direct.namespace<string>(options.namespace);
  const { revision: after } = await direct.status();
  const log = collect(namespace, after);
  const spaces = await Promise.all(
    Array.from({ length: options.clients + 2 }, (_, index) =>
      open(proxy.url, { owner: `client-${index}` }),
    ),
  );
  const watched = spaces
    .slice(0, 2)
    .map((space) => collect(space.namespace<string>(options.namespace), after));
  const recorder = new HistoryRecorder<CommitInput, CommitOutput>();
  let working = true;
  const nemesis = cutAtRandom(proxy, random, () => working);
  await Promise.all(
    spaces.slice(2).map((space, client) => {
      const own = new SeededRandom(options.seed * 31 + client);
      const count = Math.floor(options.operations / options.clients);
      return work(space.namespace<string>(options.namespace), client, count, own, recorder);
    }),
  );
  working = false;
  const cuts = await nemesis;
  const input: CommitInput = { apply: [{ op: 'put', key: sentinel, value: 'end' }] };
  const last = recorder.begin(-1, input);
  last.ok(await run(namespace, input));
  const logged = await log;
  const streams = await Promise.all(watched);
  await Promise.all(spaces.map((space) => space.close()));
  return {
    calls: recorder.history(),
    log: logged.flatMap((record) => (record.type === 'batch' ? record.changes : [])),
    watched: streams,
    after,
    cuts,
  };
}

async function cutAtRandom(
  proxy: FaultProxy,
  random: SeededRandom,
  working: () => boolean,
): Promise<number> {
  let cuts = 0;
  while (working()) {
    await new Promise((resolve) => setTimeout(resolve, 5 + random.below(30)));
    // Now and then the requests still arrive and only their answers are lost.
    if (random.next() < 0.3) {
      proxy.replyDrop = true;
      await new Promise((resolve) => setTimeout(resolve, 3));
      proxy.cutAll();
      proxy.replyDrop = false;
    } else {
      proxy.cut(random.below(1_000));
    }
    cuts++;
  }
  return cuts;
}

/** Everything after a revision up to the sentinel, as whole revisions. */
async function collect(namespace: Namespace<string>, after: number): Promise<WatchRecord[]> {
  const records: { type: 'batch'; revision: number; changes: SeenChange[] }[] = [];
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
    if (key === sentinel) break;
  }
  return records;
}

function known(entry: PathEntry<string> | null): KnownEntry | null {
  if (entry === null) return null;
  const { value, revision, createRevision, version } = entry;
  return { value, revision, createRevision, version };
}

async function work(
  namespace: Namespace<string>,
  client: number,
  count: number,
  random: SeededRandom,
  recorder: HistoryRecorder<CommitInput, CommitOutput>,
): Promise<void> {
  /** Revisions as this client last saw them, for conditional writes. */
  const last = new Map<string, number>();
  for (let number = 0; number < count; number++) {
    const input = choose(random, `${client}.${number}`, last);
    const call = recorder.begin(client, input);
    try {
      const output = await run(namespace, input);
      learn(input, output, last);
      call.ok(output);
    } catch (error) {
      if (isWaymarkError(error, 'conflict')) call.ok({ succeeded: false });
      else if (isWaymarkError(error, 'unavailable')) call.drop();
      else if (!isWaymarkError(error, 'uncertain')) throw error;
      else if (input.apply.every((step) => step.op === 'get')) call.drop();
      else call.unknown();
    }
  }
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
async function run(namespace: Namespace<string>, input: CommitInput): Promise<CommitOutput> {
  const [step] = input.apply;
  const ifRevision = input.when?.[0]?.revision;
  if (input.apply.length === 1 && step !== undefined) {
    if (step.op === 'get')
      return { succeeded: true, results: [known(await namespace.get(step.key))] };
    if (step.op === 'put') {
      const { revision } = await namespace.put(step.key, step.value, { ifRevision });
      return { succeeded: true, revision, results: [null] };
    }
    const { revision, deleted } = await namespace.delete(step.key, { ifRevision });
    return { succeeded: true, revision, results: [deleted] };
  }
  const outcome = await namespace.txn({
    when: (input.when ?? []).map(({ key, revision }) => ({ path: key, revision })),
    apply: input.apply.map(toOperation),
    otherwise: (input.otherwise ?? []).map(toOperation),
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

/** Each commit as one call per key, for a check that trusts no revision. What a commit did on one key is an operation of its own. */
export function perKey(calls: readonly CommitCall[]): Call<VersionedInput, VersionedOutput>[] {
  const found: Call<VersionedInput, VersionedOutput>[] = [];
  for (const { client, call, ret, input, output } of calls) {
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
