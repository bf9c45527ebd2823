import type { Clock } from '../core/clock.js';
import type { CallOptions, Check, Engine, Entry, Revision } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import { below, dataKey, exactly, treesAt } from './layout.js';
import { ancestorsOf, bytesToPath, pathToBytes } from './paths.js';

const sampleEveryMs = 10_000;
const samplesMax = 10_000;

/**
 * Deletes paths that were not written for an age. Entries carry no time; instead the pruner notes now and then at which revision
 * the engine stood, on the monotonic clock, so a clock step prunes nothing and a restart only delays. A path is old when its last
 * write lies at or before the newest note that is older than the age.
 */
export class Pruner {
  readonly #engine: Engine;
  readonly #clock: Clock;
  readonly #samples: { readonly at: number; readonly revision: Revision }[] = [];
  #disarm: (() => void) | undefined;
  #closed = false;

  constructor(engine: Engine, clock: Clock) {
    this.#engine = engine;
    this.#clock = clock;
    this.#arm();
  }

  /** @returns the paths that were deleted, in order */
  async prune(
    engine: Engine,
    path: string,
    olderThanMs: number,
    options?: CallOptions,
  ): Promise<string[]> {
    if (!Number.isFinite(olderThanMs) || olderThanMs < 0) {
      throw new WaymarkError(
        'invalid',
        `olderThanMs is 0 or more milliseconds, not ${String(olderThanMs)}`,
      );
    }
    await this.#sample();
    const before = this.#clock.now() - olderThanMs;
    const old = this.#samples.findLast((sample) => sample.at <= before)?.revision;
    if (old === undefined) return [];
    const pruned: string[] = [];
    const bytes = pathToBytes(path);
    const own = await engine.read({ key: dataKey(bytes) }, options);
    for (const entry of own.entries) await pruneEntry(engine, entry, old, pruned, options);
    const { key, end } = below('d', bytes);
    for (let from = key; ;) {
      const page = await engine.read(
        { key: from, end, limit: 500, uncounted: true, keysOnly: true },
        options,
      );
      for (const entry of page.entries) await pruneEntry(engine, entry, old, pruned, options);
      const last = page.entries.at(-1);
      if (!page.more || last === undefined) return pruned;
      from = `${last.key}\0`;
    }
  }

  close(): void {
    this.#closed = true;
    this.#disarm?.();
  }

  #arm(): void {
    this.#disarm = this.#clock.after(sampleEveryMs, () => {
      if (this.#closed) return;
      this.#sample()
        .catch(() => undefined)
        .finally(() => this.#arm());
    });
  }

  async #sample(): Promise<void> {
    const { revision } = await this.#engine.status();
    if (this.#samples.at(-1)?.revision === revision) return;
    this.#samples.push({ at: this.#clock.now(), revision });
    // Past the bound every other note goes: ages far back get coarser, never wrong.
    if (this.#samples.length > samplesMax) {
      const thinned = this.#samples.filter((_, i) => i % 2 === 0 || i > samplesMax / 2);
      this.#samples.splice(0, this.#samples.length, ...thinned);
    }
  }
}

/** One commit per path: it is still as old as it looked, and nothing is held or waited for that covers it. */
async function pruneEntry(
  engine: Engine,
  entry: Entry,
  old: Revision,
  pruned: string[],
  options?: CallOptions,
): Promise<void> {
  if (entry.modRevision > old || entry.lease !== 0) return;
  const path = entry.key.slice(1);
  const free = ['h', 'x', 's'].flatMap((facet): Check[] =>
    [
      exactly(facet, path),
      below(facet, path),
      ...ancestorsOf(path).map((above) => treesAt(facet, above)),
    ].map((range) => ({ ...range, target: 'version', is: '=', to: 0 })),
  );
  const same: Check = { key: entry.key, target: 'mod', is: '=', to: entry.modRevision };
  const apply = [{ type: 'delete', key: entry.key } as const];
  const outcome = await engine.commit({ when: [same, ...free], apply }, options);
  if (outcome.succeeded) pruned.push(bytesToPath(path));
}
