import assert from 'node:assert/strict';
import type * as core from '../../core/engine.js';
import { isWaymarkError } from '../../core/errors.js';
import { type EngineContext, everything, Watching } from '../engine-suite/context.js';
import { Model } from '../model.js';
import {
  clockStepMs,
  type OperationStep,
  type QueryStep,
  type Step,
  type TxnStep,
  universe,
} from './steps.js';
import { RunningWatch } from './running-watch.js';

/** What the runs met, by name: the suite asserts in the end that everything was. */
export type Coverage = Map<string, number>;

/** Takes each step on an engine and on the model, and compares what both say. */
export class PropertyRun {
  readonly #context: EngineContext;
  readonly #engine: core.Engine;
  readonly #model = new Model();
  readonly #coverage: Coverage;
  readonly #watches: RunningWatch[] = [];
  /** Every lease ever granted, newest first. */
  readonly #leases: core.LeaseId[] = [];

  constructor(context: EngineContext, coverage: Coverage) {
    this.#context = context;
    this.#engine = context.engine;
    this.#coverage = coverage;
  }

  async step(step: Step): Promise<void> {
    this.#model.present = (await this.#engine.read({ key: '\0', countOnly: true })).revision;
    switch (step.do) {
      case 'commit':
        return this.#commit(this.#txn(step.txn), step.alone);
      case 'read':
        return this.#read(this.#query(step.query));
      case 'compact':
        return this.#compact(this.#revision(step.below));
      case 'grant':
        return this.#grant(step.ttlMs, step.id);
      case 'renew':
      case 'revoke':
      case 'lease':
        return this.#lease(step.do, this.#leaseId(step.lease));
      case 'leases':
        return assert.deepEqual(
          sorted(await this.#engine.leases()),
          sorted([...this.#model.leases.keys()]),
        );
      case 'status':
        return this.#status();
      case 'advance':
        return this.#advance(step.steps * clockStepMs);
      case 'watch': {
        const after = step.below === undefined ? undefined : this.#revision(step.below);
        return this.#watch(step.ranges, after, step.previous, step.eager);
      }
    }
  }

  /** Ends every watch with one last commit that all of them see, and compares what each has seen with the model's log. */
  async finish(): Promise<void> {
    await this.#commit(
      { apply: universe.map((key) => ({ type: 'put', key, value: 'end' })) },
      true,
    );
    for (const watch of this.#watches) this.#met(`watch ${await watch.verify(this.#model)}`);
    for (const at of [this.#model.compacted, this.#model.revision])
      await this.#read({ ...everything, at });
    await this.#status();
  }

  #met(name: string): void {
    this.#coverage.set(name, (this.#coverage.get(name) ?? 0) + 1);
  }

  async #commit(txn: core.Txn, alone: boolean): Promise<void> {
    const refusals = this.#model.refusals(txn);
    if (refusals.size > 0) return this.#refused(this.#engine.commit(txn, { alone }), refusals);
    const { revision, ...outcome } = await this.#engine.commit(txn, { alone });
    const { present: before, revision: last } = this.#model;
    const expected = this.#model.commit(txn, revision === before ? before + 0.5 : revision);
    if (this.#model.revision !== last)
      assert.ok(revision > before, `revision ${revision} after ${before}`);
    else assert.equal(revision, before, 'a commit that changes nothing keeps the revision');
    this.#model.present = revision;
    assert.deepEqual(outcome, withRevision(expected, revision));
    this.#cover(outcome, txn, '');
  }

  #cover(outcome: Pick<core.Outcome, 'succeeded' | 'results'>, txn: core.Txn, where: string): void {
    if ((txn.when?.length ?? 0) > 0)
      this.#met(`${where}checks ${outcome.succeeded ? 'hold' : 'fail'}`);
    const branch = (outcome.succeeded ? txn.apply : txn.otherwise) ?? [];
    for (const [n, operation] of branch.entries()) {
      const result = outcome.results[n];
      this.#met(where + operation.type);
      if (operation.type === 'delete' && result?.type === 'delete' && result.deleted > 1)
        this.#met('delete of many');
      if (operation.type === 'txn' && result?.type === 'txn')
        this.#cover(result, operation.txn, 'nested ');
    }
  }

  async #read(query: core.Query): Promise<void> {
    const refusal = this.#model.refusal(query.at);
    if (refusal !== null) return this.#refused(this.#engine.read(query), new Set([refusal]));
    const { revision, ...reading } = await this.#engine.read(query);
    assert.ok(revision >= (query.at ?? this.#model.present));
    assert.deepEqual(reading, this.#model.read(query), `read ${JSON.stringify(query)}`);
    this.#met(query.at === undefined ? 'read now' : 'read of the past');
  }

  async #compact(through: number): Promise<void> {
    if (through > this.#model.present) {
      return this.#refused(this.#engine.compact(through), new Set(['future_revision']));
    }
    await this.#engine.compact(through);
    this.#model.compacted = Math.max(this.#model.compacted, through);
    this.#met('compact');
  }

  async #grant(ttlMs: number, id: core.LeaseId | undefined): Promise<void> {
    if (id !== undefined && this.#model.leases.has(id)) {
      return this.#refused(this.#engine.grant(ttlMs, { id }), new Set(['conflict']));
    }
    const lease = await this.#engine.grant(ttlMs, { id });
    assert.ok(
      !this.#model.leases.has(lease.id) && lease.id === (id ?? lease.id) && lease.ttlMs >= ttlMs,
    );
    this.#model.leases.set(lease.id, {
      ttlMs: lease.ttlMs,
      deadline: this.#model.nowMs + lease.ttlMs,
    });
    this.#leases.unshift(lease.id);
    this.#met('grant');
  }

  async #lease(verb: 'renew' | 'revoke' | 'lease', id: core.LeaseId): Promise<void> {
    const held = this.#model.leases.get(id);
    if (held === undefined) {
      if (verb === 'lease') return assert.equal(await this.#engine.lease(id), null);
      return this.#refused(this.#engine[verb](id), new Set(['not_found']));
    }
    this.#met(verb);
    const keys = this.#model.keysOf(id);
    if (verb === 'renew') {
      assert.deepEqual(await this.#engine.renew(id), { id, ttlMs: held.ttlMs });
      held.deadline = this.#model.nowMs + held.ttlMs;
    } else if (verb === 'revoke') {
      const { revision } = await this.#engine.revoke(id);
      if (keys.length === 0) assert.ok(revision >= this.#model.present);
      else assert.ok(revision > this.#model.present);
      if (keys.length > 0) this.#met('revoke with keys');
      this.#model.end([id], revision);
    } else {
      const { remainingMs, ...state } =
        (await this.#engine.lease(id)) ?? assert.fail(`lease ${id} is gone`);
      assert.deepEqual(state, { id, ttlMs: held.ttlMs, keys });
      assert.ok(remainingMs <= held.ttlMs);
      if (this.#context.clock) assert.ok(remainingMs >= held.deadline - this.#model.nowMs);
    }
  }

  async #status(): Promise<void> {
    const { revision, compacted, keys, leases } = await this.#engine.status();
    const { entries } = { entries: this.#model.entriesAt(this.#model.revision) };
    assert.deepEqual(
      { revision, compacted, keys, leases },
      {
        revision: this.#model.present,
        compacted: this.#model.compacted,
        keys: entries.length,
        leases: this.#model.leases.size,
      },
    );
    this.#met('status');
  }

  /** Which of the leases that are due ends first is the engine's choice: the model follows what a watch has seen. */
  async #advance(ms: number): Promise<void> {
    const { clock } = this.#context;
    if (clock === undefined) return;
    const model = this.#model;
    const watching = new Watching(this.#context, [everything], { after: model.revision });
    clock.advance(ms);
    model.nowMs += ms;
    this.#met('advance');
    const due = model.due();
    const owner = new Map(due.flatMap((id) => model.keysOf(id).map((key) => [key, id] as const)));
    const changes = await watching.collect(owner.size);
    await watching.leave();
    for (const revision of new Set(changes.map(({ entry }) => entry.modRevision))) {
      const together = changes.filter(({ entry }) => entry.modRevision === revision);
      const ended = [
        ...new Set(together.map(({ entry }) => owner.get(entry.key) ?? assert.fail('not due'))),
      ];
      const keys = ended.flatMap((id) => model.keysOf(id));
      assert.deepEqual(together.map(({ entry }) => entry.key).sort(), keys.sort());
      model.end(ended, revision);
      this.#met('expire');
    }
    model.end(model.due(), model.revision);
    for (const id of due) assert.equal(await this.#engine.lease(id), null);
  }

  async #watch(
    ranges: readonly core.KeyRange[],
    after: number | undefined,
    previous: boolean,
    eager: boolean,
  ): Promise<void> {
    const watching = new Watching(this.#context, ranges, { after, previous });
    const refusal = this.#model.refusal(after);
    if (refusal !== null) return this.#refused(watching.pull(), new Set([refusal]));
    this.#watches.push(await RunningWatch.start(watching, { ranges, after, previous, eager }));
  }

  async #refused(call: Promise<unknown>, codes: ReadonlySet<string>): Promise<void> {
    const failure = await call.then(
      (value) =>
        assert.fail(`refused with ${[...codes].join(' or ')}, not ${JSON.stringify(value)}`),
      (error: unknown) => error,
    );
    assert.ok(
      isWaymarkError(failure) && codes.has(failure.code),
      `${[...codes].join(' or ')}: ${String(failure)}`,
    );
    if (failure.code === 'compacted') assert.equal(failure.facts.compacted, this.#model.compacted);
    this.#met(`refused: ${failure.code}`);
  }

  #revision(below: number): number {
    return Math.max(0, this.#model.present - below);
  }

  #leaseId(number: number): core.LeaseId {
    return number === 0 ? 0 : (this.#leases[number - 1] ?? 4_711);
  }

  #query({ below, bounds, ...query }: QueryStep): core.Query {
    const limits = bounds?.map(([name, under]) => [name, this.#revision(under)] as const) ?? [];
    return {
      ...query,
      at: below === undefined ? undefined : this.#revision(below),
      ...Object.fromEntries(limits),
    };
  }

  #txn(txn: TxnStep): core.Txn {
    return {
      when: txn.when.map(({ number, value, ...check }): core.Check => {
        const revision = check.target === 'create' || check.target === 'mod';
        const to =
          check.target === 'lease'
            ? this.#leaseId(number)
            : revision
              ? this.#revision(number)
              : number;
        return { ...check, to: check.target === 'value' ? value : to };
      }),
      apply: txn.apply.map((operation) => this.#operation(operation)),
      otherwise: txn.otherwise.map((operation) => this.#operation(operation)),
    };
  }

  #operation(step: OperationStep): core.Operation {
    if (step.type === 'read') return { type: 'read', ...this.#query(step.query) };
    if (step.type === 'txn') return { type: 'txn', txn: this.#txn(step.txn) };
    if (step.type === 'delete') return { type: 'delete', ...step.range, previous: step.previous };
    const flags = Object.fromEntries(step.flags.map((name) => [name, true]));
    return {
      type: 'put',
      key: step.key,
      value: step.value,
      lease: step.flags.includes('keepLease') ? 0 : this.#leaseId(step.lease),
      ...flags,
    };
  }
}

/** The model was given a revision in between when nothing changed: what it read is true at the engine's. */
function withRevision<O extends Pick<core.Outcome, 'results'>>(outcome: O, revision: number): O {
  const results = outcome.results.map((result): core.OperationResult => {
    if (result.type === 'read') return { ...result, reading: { ...result.reading, revision } };
    return result.type === 'txn' ? withRevision(result, revision) : result;
  });
  return { ...outcome, results };
}

function sorted(ids: readonly core.LeaseId[]): string[] {
  return ids.map(String).sort();
}
