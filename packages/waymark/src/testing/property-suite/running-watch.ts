import assert from 'node:assert/strict';
import type { Change, KeyRange } from '../../core/engine.js';
import { isWaymarkError } from '../../core/errors.js';
import { rangeContains } from '../../core/ranges.js';
import { describeChange, type Watching } from '../engine-suite/context.js';
import type { Model } from '../model.js';

interface Asked {
  readonly ranges: readonly KeyRange[];
  readonly after: number | undefined;
  readonly previous: boolean;
  readonly eager: boolean;
}

/** A watch that runs beside the steps; what it has seen is compared with the model's log at the end. */
export class RunningWatch {
  readonly #watching: Watching;
  readonly #asked: Asked;
  readonly #after: number;
  #failure: unknown = null;
  #until = Infinity;
  #pulling: Promise<void> | null = null;
  #arrived = (): void => {};
  #left = false;

  static async start(watching: Watching, asked: Asked): Promise<RunningWatch> {
    if (asked.after === undefined) await watching.pull();
    return new RunningWatch(watching, asked);
  }

  private constructor(watching: Watching, asked: Asked) {
    this.#watching = watching;
    this.#asked = asked;
    this.#after = asked.after ?? watching.told;
    if (asked.eager) this.#pulling = this.#pull();
  }

  /** @returns how it ended: it has seen everything, or compaction overtook it and it said so */
  async verify(model: Model): Promise<'complete' | 'compacted'> {
    this.#until = model.revision;
    await (this.#pulling === null ? this.#pull() : this.#arrival());
    const { told, changes } = this.#watching;
    if (this.#failure === null) {
      this.#left = true;
      await this.#watching.leave();
    } else {
      const { compacted } = this.#compaction();
      assert.ok(
        told < compacted && compacted <= model.compacted,
        'a watch fails only when it is behind',
      );
    }
    const expected = model.log.filter(
      ({ entry }) =>
        entry.modRevision > this.#after &&
        entry.modRevision <= told &&
        this.#asked.ranges.some((range) => rangeContains(range, entry.key)),
    );
    assert.deepEqual(inOrder(changes).map(describeChange), inOrder(expected).map(describeChange));
    const full = inOrder(expected).map((change) => comparable(change, this.#asked.previous));
    const seen = inOrder(changes).map((change) => comparable(change, this.#asked.previous));
    assert.deepEqual(seen, full);
    return this.#failure === null ? 'complete' : 'compacted';
  }

  async #pull(): Promise<void> {
    try {
      while (this.#watching.told < this.#until) {
        await this.#watching.pull();
        if (this.#watching.told >= this.#until) this.#arrived();
      }
    } catch (error) {
      if (this.#left) return;
      this.#failure = error;
      this.#arrived();
    }
  }

  /** An eager watch that has seen the last revision already waits for more, which never comes. */
  #arrival(): Promise<void> {
    if (this.#failure !== null || this.#watching.told >= this.#until) return Promise.resolve();
    return new Promise((resolve) => (this.#arrived = resolve));
  }

  #compaction(): { readonly compacted: number } {
    const failure = this.#failure;
    assert.ok(isWaymarkError(failure, 'compacted'), String(failure));
    return { compacted: failure.facts.compacted ?? assert.fail('compacted tells its point') };
  }
}

/** Changes of one revision have no order among them. */
function inOrder(changes: readonly Change[]): Change[] {
  return [...changes].sort(
    (a, b) => a.entry.modRevision - b.entry.modRevision || (a.entry.key < b.entry.key ? -1 : 1),
  );
}

function comparable({ kind, entry, previous }: Change, full: boolean): unknown {
  const shown = { kind, ...entry, createRevision: kind === 'put' ? entry.createRevision : 0 };
  return full ? { ...shown, previous } : shown;
}
