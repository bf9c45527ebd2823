import type {
  CommitCall,
  CommitInput,
  CommitStep,
  KnownEntry,
  LoggedChange,
} from './commit-history.js';
import { mark, sameChanges, show, touchedBy, without, writesOf } from './logged-changes.js';

/**
 * Checks a history in linear time by trusting nothing but what the store itself claims: the revisions in its answers and the log of its
 * changes. Write order is then known, and checking needs no search. Its rules:
 * (a) acknowledged writes have distinct revisions, or share one and none reads, checks or writes what another writes; (b) they grow in real time; (c) each answer is the replay of the log at
 * its revision; (d) no read is older than what was acknowledged before its call; (e) each change of the log belongs to an
 * acknowledged commit, whole, or to one unknown commit, whole. The watches (f) are watch-rules.ts.
 */

export interface RevisionRules {
  /** Independent commits may share a revision (K1). Default false. */
  readonly shared?: boolean | undefined;
}

/** @returns what is wrong, one sentence each; empty when all is well */
export function checkRevisions(
  history: readonly CommitCall[],
  log: readonly LoggedChange[],
  rules: RevisionRules = {},
): string[] {
  const floors = floorsOf(history);
  const wrong: string[] = [];
  const replay = new Replay(history, log, { floors, wrong, shared: rules.shared === true });
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

interface ReplayFacts {
  readonly floors: ReadonlyMap<CommitCall, number>;
  readonly wrong: string[];
  readonly shared: boolean;
}

class Replay {
  readonly #state = new Map<string, KnownEntry>();
  readonly #changes = new Map<number, LoggedChange[]>();
  /** Unknown commits not yet found in the log, by each key and value they may write. */
  readonly #unknown = new Map<string, Set<CommitCall>>();
  readonly #floors: ReadonlyMap<CommitCall, number>;
  readonly #wrong: string[];
  readonly #shared: boolean;

  constructor(history: readonly CommitCall[], log: readonly LoggedChange[], facts: ReplayFacts) {
    this.#floors = facts.floors;
    this.#wrong = facts.wrong;
    this.#shared = facts.shared;
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

  /** Finds whose the changes are. @returns the calls that are not their authors */
  #claim(
    revision: number,
    changes: readonly LoggedChange[],
    calls: readonly CommitCall[],
  ): readonly CommitCall[] {
    const authors: CommitCall[] = [];
    let left = changes;
    for (const call of calls) {
      const written = this.#writtenBy(call, revision, left);
      if (written === null || this.#fault(call, revision, written) !== null) continue;
      authors.push(call);
      left = without(left, written);
      if ((this.#floors.get(call) ?? 0) >= revision) {
        this.#wrong.push(
          `(b) ${show(call)} wrote at ${revision}, which was acknowledged to another before its call`,
        );
      }
    }
    for (let first = left[0]; first !== undefined; first = left[0]) {
      const written = this.#claimUnknown(revision, first, left);
      if (written === null) break;
      left = without(left, written);
    }
    this.#refuseDependent(revision, authors);
    if (left.length > 0) {
      const what = left.map((change) => `${change.kind} ${change.key} ${change.value}`).join(', ');
      this.#wrong.push(
        `(e) revision ${revision} (${what}) belongs to no commit, or only to a part of one`,
      );
    }
    return calls.filter((call) => !authors.includes(call));
  }

  /** What a call wrote at a revision, where that is all of what is left there, or with shared revisions a part of it; else null. */
  #writtenBy(
    { input }: CommitCall,
    revision: number,
    left: readonly LoggedChange[],
  ): readonly LoggedChange[] | null {
    const steps = (this.#holds(input) ? input.apply : input.otherwise) ?? [];
    const { written } = this.#run(steps, revision);
    const rest = without(left, written);
    const all = rest.length === left.length - written.length;
    return written.length > 0 && all && (this.#shared || rest.length === 0) ? written : null;
  }

  #claimUnknown(
    revision: number,
    first: LoggedChange,
    left: readonly LoggedChange[],
  ): readonly LoggedChange[] | null {
    const name = mark(first.key, first.kind === 'put' ? first.value : undefined);
    for (const call of this.#unknown.get(name) ?? []) {
      if ((this.#floors.get(call) ?? 0) >= revision) continue;
      const written = this.#writtenBy(call, revision, left);
      if (written === null) continue;
      for (const set of this.#unknown.values()) set.delete(call);
      return written;
    }
    return null;
  }

  /** Who shares a revision may not touch what another writes. */
  #refuseDependent(revision: number, authors: readonly CommitCall[]): void {
    if (authors.length < 2) return;
    for (const author of authors) {
      const own = writesOf(author.input);
      const met = authors.find(
        (other) => other !== author && touchedBy(other.input).some((key) => own.has(key)),
      );
      if (met === undefined) continue;
      this.#wrong.push(`(a) revision ${revision} is shared by ${show(author)} and ${show(met)}`);
    }
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
