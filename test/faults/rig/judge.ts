import { checkRevisions, checkWatch } from 'waymark/testing';
import { orderFaults, sentinel } from '../../linearizability/workload.js';
import type { RigHistory } from './history.js';

/** Everything wrong with a history, one sentence each: by the search for an order, by revisions against etcd's own log, and by the rules of watches. */
export function faultsOf({ calls, log, watched, after }: RigHistory): string[] {
  const found = orderFaults(calls, log);
  found.push(...checkRevisions(calls, log, { shared: true }));
  // Watchers stop at the sentinel, in the middle of its revision where etcd took others beside it.
  const told = log.slice(0, log.findIndex(({ key }) => key === sentinel) + 1);
  for (const records of watched) {
    if (typeof records === 'string') found.push(`a watch: ${records}`);
    else {
      const broken = checkWatch({ after, records, matches: () => true }, told);
      found.push(...broken.map(({ rule, message }) => `watch ${rule}: ${message}`));
      const [first] = broken;
      if (first !== undefined) found.push(evidence(first.revision, { calls, log, watched }));
    }
  }
  return found;
}

/** What all sides know of a revision at which a watch broke a rule, and of those next to it. */
function evidence(
  revision: number,
  { calls, log, watched }: Pick<RigHistory, 'calls' | 'log' | 'watched'>,
): string {
  const near = (one: { readonly revision?: number | undefined }): boolean =>
    Math.abs((one.revision ?? 0) - revision) <= 1;
  const changes = log.filter(near);
  const values = new Set(changes.map(({ value }) => value));
  const written = calls.filter(
    ({ input, output }) =>
      (output !== undefined && near(output)) ||
      (output === undefined &&
        input.apply.some((step) => step.op === 'put' && values.has(step.value))),
  );
  const seen = watched.map((records) =>
    typeof records === 'string'
      ? records
      : records.filter((record) => record.type === 'batch' && near(record)),
  );
  return `around ${revision}: ${JSON.stringify({ log: changes, watched: seen, calls: written })}`;
}

/** What many histories add up to: none of them is kept. */
export class Tally {
  histories = 0;
  calls = 0;
  unknown = 0;
  changes = 0;
  readonly kinds = new Map<string, number>();
  /** The first few of each history, with how to see it again. */
  readonly faults: string[] = [];

  add(history: RigHistory, kind: string, replay: string): void {
    this.histories++;
    this.calls += history.calls.length;
    this.unknown += history.calls.filter((call) => call.output === undefined).length;
    this.changes += history.log.length;
    this.kinds.set(kind, (this.kinds.get(kind) ?? 0) + 1);
    const faults = faultsOf(history);
    if (faults.length === 0) return;
    const told = [`${JSON.stringify(history.fault)}; replay: ${replay}`, ...faults.slice(0, 5)];
    console.log(told.join('\n'));
    this.faults.push(...told);
  }

  toString(): string {
    const { histories, calls, unknown, changes, faults } = this;
    const kinds = [...this.kinds].map(([kind, count]) => `${kind} ${count}`).join(', ');
    return `${histories} histories (${kinds}), ${calls} calls, ${unknown} unknown, ${changes} changes, ${faults.length === 0 ? 'all right' : 'FAULTS'}`;
  }
}
