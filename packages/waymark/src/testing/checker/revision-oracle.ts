import type { Call } from './linearizable.js';

/**
 * Checks a history in linear time by trusting nothing but what the store itself claims: the revisions in its answers and the log of its
 * changes. Write order is then known, and checking needs no search. Its rules:
 * (a) acknowledged writes have distinct revisions; (b) they grow in real time; (c) each answer is the replay of the log at
 * its revision; (d) no read is older than what was acknowledged before its call; (e) each change of the log belongs to an
 * acknowledged commit, whole, or to one unknown commit, whole. The watches (f) are watch-rules.ts.
 */

/** One change as the log tells it. */
export interface LoggedChange {
  readonly revision: number;
  readonly key: string;
  readonly kind: 'put' | 'delete' | 'expire';
  /** Empty for a delete. */
  readonly value: string;
  /** Writes since creation; 0 for a delete. */
  readonly version: number;
  /** 0 for a delete. */
  readonly createRevision: number;
}

export interface KnownEntry {
  readonly value: string;
  readonly revision: number;
  readonly createRevision: number;
  readonly version: number;
}

export type CommitStep =
  | { readonly op: 'get'; readonly key: string }
  | { readonly op: 'put'; readonly key: string; readonly value: string }
  | { readonly op: 'delete'; readonly key: string };

/** When each key's revision is as told (0: absent), `apply`, else `otherwise`. Written values are unique in a history. */
export interface CommitInput {
  readonly when?: readonly { readonly key: string; readonly revision: number }[];
  readonly apply: readonly CommitStep[];
  readonly otherwise?: readonly CommitStep[];
}

export interface CommitOutput {
  /** Absent where the answer has none: a refused condition. */
  readonly revision?: number | undefined;
  readonly succeeded: boolean;
  /** One per step of the branch: for a get what it saw, for a delete how many, null for a put. Absent where the answer has none. */
  readonly results?: readonly (KnownEntry | number | null)[] | undefined;
}

export type CommitCall = Call<CommitInput, CommitOutput>;

/** @returns what is wrong, one sentence each; empty when all is well */
export function checkRevisions(
  history: readonly CommitCall[],
  log: readonly LoggedChange[],
): string[] {
  const floors = floorsOf(history);
  const wrong: string[] = [];
  const replay = new Replay(history, log, floors, wrong);
  const byRevision = new Map<number, CommitCall[]>();
  for (const call of history) {
    const { output } = call;
    if (output === undefined) continue;
    const floor = floors.get(call) ?? 0;
    if (output.revision === undefined) continue;
    if (output.revision < floor) {
      wrong.push(
        `(d) ${show(call)} answered at revision ${output.revision}, but ${floor} was acknowledged before it`,
      );
    }
    const same = byRevision.get(output.revision);
    if (same === undefined) byRevision.set(output.revision, [call]);
    else same.push(call);
  }
  const revisions = new Set([...byRevision.keys(), ...log.map((change) => change.revision)]);
  for (const revision of [...revisions].sort((a, b) => a - b))
    replay.at(revision, byRevision.get(revision) ?? []);
  return wrong;
}

/** The highest revision acknowledged before each call: a sweep over time. */
function floorsOf(history: readonly CommitCall[]): Map<CommitCall, number> {
  const floors = new Map<CommitCall, number>();
  const returns = history
    .filter((call) => call.output?.revision !== undefined)
    .sort((a, b) => a.ret - b.ret);
  let next = 0;
  let floor = 0;
  for (const call of [...history].sort((a, b) => a.call - b.call)) {
    for (; next < returns.length && (returns[next] as CommitCall).ret < call.call; next++) {
      floor = Math.max(floor, (returns[next] as CommitCall).output?.revision ?? 0);
    }
    floors.set(call, floor);
  }
  return floors;
}

class Replay {
  readonly #state = new Map<string, KnownEntry>();
  readonly #changes = new Map<number, LoggedChange[]>();
  /** Unknown commits not yet found in the log, by each key and value they may write. */
  readonly #unknown = new Map<string, Set<CommitCall>>();
  readonly #floors: ReadonlyMap<CommitCall, number>;
  readonly #wrong: string[];

  constructor(
    history: readonly CommitCall[],
    log: readonly LoggedChange[],
    floors: ReadonlyMap<CommitCall, number>,
    wrong: string[],
  ) {
    this.#floors = floors;
    this.#wrong = wrong;
    for (const change of log) {
      const same = this.#changes.get(change.revision);
      if (same === undefined) this.#changes.set(change.revision, [change]);
      else same.push(change);
    }
    for (const call of history) {
      if (call.output !== undefined) continue;
      for (const step of [...call.input.apply, ...(call.input.otherwise ?? [])]) {
        if (step.op === 'get') continue;
        const name = mark(step.key, step.op === 'put' ? step.value : undefined);
        const calls = this.#unknown.get(name);
        if (calls === undefined) this.#unknown.set(name, new Set([call]));
        else calls.add(call);
      }
    }
  }

  /** @param calls  those acknowledged at this revision */
  at(revision: number, calls: readonly CommitCall[]): void {
    const changes = this.#changes.get(revision) ?? [];
    const readers = changes.length === 0 ? calls : this.#claim(revision, changes, calls);
    for (const change of changes) this.#apply(change);
    for (const call of readers) {
      const fault = this.#fault(call, revision, []);
      if (fault !== null) this.#wrong.push(`(c) ${show(call)}: ${fault}`);
    }
  }

  /** Finds whose the changes are. @returns the calls that are not their author */
  #claim(
    revision: number,
    changes: readonly LoggedChange[],
    calls: readonly CommitCall[],
  ): readonly CommitCall[] {
    const authors = calls.filter((call) => this.#fault(call, revision, changes) === null);
    if (authors.length > 1)
      this.#wrong.push(`(a) revision ${revision} was acknowledged to ${authors.length} writers`);
    const [author] = authors;
    if (author !== undefined) {
      if ((this.#floors.get(author) ?? 0) >= revision) {
        this.#wrong.push(
          `(b) ${show(author)} wrote at ${revision}, which was acknowledged to another before its call`,
        );
      }
      return calls.filter((call) => call !== author);
    }
    const first = changes[0] as LoggedChange;
    const candidates =
      this.#unknown.get(mark(first.key, first.kind === 'put' ? first.value : undefined)) ?? [];
    for (const call of candidates) {
      if ((this.#floors.get(call) ?? 0) >= revision) continue;
      const branches = [call.input.apply, call.input.otherwise ?? []];
      const succeeded = this.#holds(call.input);
      const { written } = this.#run(branches[succeeded ? 0 : 1] ?? [], revision);
      if (!sameChanges(written, changes)) continue;
      for (const set of this.#unknown.values()) set.delete(call);
      return calls;
    }
    const what = changes.map((change) => `${change.kind} ${change.key} ${change.value}`).join(', ');
    this.#wrong.push(
      `(e) revision ${revision} (${what}) belongs to no commit, or only to a part of one`,
    );
    return calls;
  }

  /** Why the answer is not that of the replay with these changes, or null. */
  #fault(call: CommitCall, revision: number, changes: readonly LoggedChange[]): string | null {
    const { input, output } = call;
    const succeeded = this.#holds(input);
    if (output?.succeeded !== succeeded)
      return `condition ${succeeded ? 'held' : 'did not hold'} at ${revision}`;
    const { written, results } = this.#run(
      (succeeded ? input.apply : input.otherwise) ?? [],
      revision,
    );
    if (!sameChanges(written, changes))
      return `its changes are not those of the log at ${revision}`;
    if (output.results === undefined) return null;
    const [told, known] = [JSON.stringify(output.results), JSON.stringify(results)];
    return told === known ? null : `told ${told}, the log at ${revision} says ${known}`;
  }

  #holds(input: CommitInput): boolean {
    return (input.when ?? []).every(
      ({ key, revision }) => (this.#state.get(key)?.revision ?? 0) === revision,
    );
  }

  #run(
    steps: readonly CommitStep[],
    revision: number,
  ): { written: LoggedChange[]; results: (KnownEntry | number | null)[] } {
    const own = new Map<string, KnownEntry | null>();
    const written: LoggedChange[] = [];
    const results = steps.map((step): KnownEntry | number | null => {
      const { key } = step;
      const before = own.has(key) ? (own.get(key) ?? null) : (this.#state.get(key) ?? null);
      if (step.op === 'get') return before;
      if (step.op === 'delete') {
        if (before === null) return 0;
        own.set(key, null);
        written.push({ revision, key, kind: 'delete', value: '', version: 0, createRevision: 0 });
        return 1;
      }
      const createRevision = before?.createRevision ?? revision;
      const entry = {
        value: step.value,
        revision,
        createRevision,
        version: (before?.version ?? 0) + 1,
      };
      own.set(key, entry);
      const { value, version } = entry;
      written.push({ revision, key, kind: 'put', value, version, createRevision });
      return null;
    });
    return { written, results };
  }

  #apply({ key, kind, value, revision, createRevision, version }: LoggedChange): void {
    if (kind === 'put') this.#state.set(key, { value, revision, createRevision, version });
    else this.#state.delete(key);
  }
}

function sameChanges(one: readonly LoggedChange[], two: readonly LoggedChange[]): boolean {
  return one.length === two.length && JSON.stringify(inOrder(one)) === JSON.stringify(inOrder(two));
}

function inOrder(changes: readonly LoggedChange[]): unknown[] {
  const rows = changes.map(({ key, kind, value, version, createRevision }) => [
    key,
    kind,
    value,
    version,
    createRevision,
  ]);
  return rows.sort((a, b) => ((a[0] as string) < (b[0] as string) ? -1 : 1));
}

function mark(key: string, value: string | undefined): string {
  return value === undefined ? `delete ${key}` : `put ${key} ${value}`;
}

function show(call: CommitCall): string {
  return `client ${call.client} [${call.call}..${call.ret}] ${JSON.stringify(call.input)}`;
}
