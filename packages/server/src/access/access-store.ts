import {
  Bell,
  type CallOptions,
  type Clock,
  type Engine,
  type Operation,
  type Revision,
  WaymarkError,
} from 'waymark/engine';
import { type AccessLayout, AccessState, written } from './access-state.js';

export interface AccessStoreOptions {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly layout: AccessLayout;
  /** The namespace that grants of etcd's API are about. */
  readonly grantedIn: string;
}

export interface Edit {
  readonly operations: readonly Operation[];
  /** Whether it counts as a change: switching control on does not. Default true. */
  readonly counted?: boolean;
}

/** Tries of a change that others come before. */
const triesMax = 32;
/** So long a change that was made may take to come back by the watch. */
const heardMsMax = 5_000;
const retryMs = [50, 200, 1_000] as const;
/** While nobody has set anything up it is looked so often whether somebody has. */
const lookMs = 500;

/**
 * Users, roles and grants: kept in the engine, and in memory as a copy that one watch keeps right. Several servers over one engine agree
 * because a change is a commit that fails when another came between: it is then decided anew, on what is there now. The server that makes
 * a change answers when its own copy has it; others have it when their watch tells, which takes as long as the engine takes to tell.
 *
 * A copy that cannot be kept right for a while stays as it was: nobody gains a permission by an engine that is out of reach, and who lost
 * one keeps it here until the engine is back.
 */
export class AccessStore implements AsyncDisposable {
  readonly layout: AccessLayout;
  readonly #options: AccessStoreOptions;
  readonly #stop = new AbortController();
  readonly #moved = new Bell();
  readonly #changed = new Set<() => void>();
  #state: AccessState;
  #needed = false;
  #following: Promise<void> = Promise.resolve();
  #changing: Promise<unknown> = Promise.resolve();

  private constructor(options: AccessStoreOptions, state: AccessState) {
    this.#options = options;
    this.layout = options.layout;
    this.#state = state;
  }

  /** @throws {WaymarkError} `corrupt`, `unavailable` */
  static async open(options: AccessStoreOptions): Promise<AccessStore> {
    const store = new AccessStore(options, await load(options));
    store.#following = store.#follow();
    return store;
  }

  /** As of now; a later look may find another. */
  get state(): AccessState {
    return this.#state;
  }

  /**
   * Makes a change, in force here when this resolves. Changes of this server follow each other.
   * @param plan  decides on the state there is; may be asked again when another server came first. No operations: nothing changes
   * @returns the revision of the change, or the one that it was found unneeded at
   * @throws what `plan` throws; {WaymarkError} `conflict`, `uncertain`, `unavailable`
   */
  change(plan: (state: AccessState) => Edit, options: CallOptions = {}): Promise<Revision> {
    const made = this.#changing.then(() => this.#change(plan, options));
    this.#changing = made.catch(() => {});
    return made;
  }

  /** Calls `listener` after each change. @returns stops that */
  onChange(listener: () => void): () => void {
    this.#changed.add(listener);
    return () => this.#changed.delete(listener);
  }

  /** From now on changes are heard of at once, though nobody has set anything up yet. */
  async follow(): Promise<void> {
    if (this.#needed) return;
    if (this.#state.empty) this.#take(await load(this.#options));
    this.#needed = true;
    this.#moved.ring();
  }

  async #change(plan: (state: AccessState) => Edit, options: CallOptions): Promise<Revision> {
    await this.follow();
    for (let tries = 0; tries < triesMax; tries++) {
      const { count, countedAt, enabledAt, revision: seen } = this.#state;
      const { operations, counted = true } = plan(this.#state);
      if (operations.length === 0) return seen;
      const counting: Operation[] = counted
        ? [{ type: 'put', key: this.layout.counter, value: written(count + 1) }]
        : [];
      const { succeeded, revision } = await this.#options.engine.commit(
        {
          when: [
            { key: this.layout.counter, target: 'mod', is: '=', to: countedAt },
            { key: this.layout.enabled, target: 'create', is: '=', to: enabledAt },
          ],
          apply: [...operations, ...counting],
        },
        options,
      );
      if (succeeded) {
        await this.#heard(() => this.#state.revision >= revision, 'uncertain');
        return revision;
      }
      const passed = (state: AccessState): boolean =>
        state.countedAt !== countedAt || state.enabledAt !== enabledAt;
      await this.#heard(() => passed(this.#state), 'unavailable');
    }
    throw new WaymarkError('conflict', 'other servers change access rules all the time: try again');
  }

  async #heard(there: () => boolean, otherwise: 'uncertain' | 'unavailable'): Promise<void> {
    const { clock } = this.#options;
    await this.#moved.until(there, { clock, ms: heardMsMax, signal: this.#stop.signal });
    if (!there())
      throw new WaymarkError(otherwise, 'changes of access rules are not heard of here');
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    let failures = 0;
    while (!signal.aborted) {
      try {
        await this.#untilNeeded();
        if (failures > 0) this.#take(await load(this.#options));
        const watched = this.#options.engine.watch([this.layout.area], {
          after: this.#state.revision,
          signal,
        });
        for await (const { changes, revision } of watched) {
          this.#state.apply(
            changes.map(({ entry }) => entry),
            revision,
          );
          this.#told();
          failures = 0;
        }
      } catch {
        if (!signal.aborted) await this.#pause(failures);
      }
      failures++;
    }
  }

  #take(state: AccessState): void {
    state.generation = this.#state.generation + 1;
    this.#state = state;
    this.#told();
  }

  #told(): void {
    this.#moved.ring();
    for (const listener of this.#changed) listener();
  }

  /** A server without users asks its engine for a key now and then, and has no watch there that all its writes would come by. */
  async #untilNeeded(): Promise<void> {
    const { engine, clock, layout } = this.#options;
    const { signal } = this.#stop;
    while (!this.#needed && this.#state.empty && !signal.aborted) {
      const over = (): boolean => this.#needed || signal.aborted;
      await this.#moved.until(over, { clock, ms: lookMs, signal });
      if (over()) return;
      const look = { ...layout.area, limit: 1, keysOnly: true, uncounted: true };
      const { entries } = await engine.read(look, { signal });
      if (entries.length === 0) continue;
      this.#take(await load(this.#options));
    }
  }

  async #pause(failures: number): Promise<void> {
    const ms = retryMs[Math.min(failures, retryMs.length - 1)] as number;
    const { signal } = this.#stop;
    await this.#moved.until(() => signal.aborted, { clock: this.#options.clock, ms, signal });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#following;
  }
}

async function load({ engine, layout, grantedIn }: AccessStoreOptions): Promise<AccessState> {
  const { entries, revision } = await engine.read(layout.area);
  const state = new AccessState(layout, grantedIn);
  state.apply(entries, revision);
  return state;
}
