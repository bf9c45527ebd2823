import {
  type ByteString,
  type Check,
  type Clock,
  type Engine,
  isWaymarkError,
  type Operation,
  pause,
  type Random,
  type WatcherEventKind,
  WaymarkError,
} from 'waymark/engine';
import { eventPut } from './event-put.js';
import {
  endpointKey,
  holdKey,
  keysOfWatcher,
  letterKey,
  lettersAgainKey,
  liveKey,
  ofEndpoint,
  stateKey,
  watcherKey,
} from './keys.js';
import { encodeRecord, type LetterRecord, type LiveRecord, type StateRecord } from './records.js';
import type { EndpointView, WatcherView } from './registry.js';

const againMs = 100;
/** Operations of one commit, below the limit of 128. */
const chunkSize = 50;
export const lettersMax = 1_000;

/** What is believed of the hold: the lease by the local clock. */
export interface Believed {
  isHeld(): boolean;
  readonly signal: AbortSignal;
}

export interface EndpointStoreParts {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly random: Random;
  /** Told when the hold was another's as a cursor was to be kept. */
  readonly refused: (error: WaymarkError) => void;
}

/**
 * All that who delivers to an endpoint writes of it. Every commit is guarded by the hold (W1.3): where the hold is another's, nothing is written and the answer
 * is false. Each can be repeated, so what may or may not have been applied is simply done again.
 */
export class EndpointStore {
  readonly #engine: Engine;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #endpoint: EndpointView;
  readonly #lease: Believed;
  readonly #held: Check;
  readonly #refused: EndpointStoreParts['refused'];

  constructor(
    parts: EndpointStoreParts,
    endpoint: EndpointView,
    hold: { readonly fence: number; readonly lease: Believed },
  ) {
    this.#engine = parts.engine;
    this.#clock = parts.clock;
    this.#random = parts.random;
    this.#endpoint = endpoint;
    this.#lease = hold.lease;
    this.#held = { key: holdKey(endpoint.id), target: 'create', is: '=', to: hold.fence };
    this.#refused = parts.refused;
  }

  async save(state: StateRecord, also: readonly Operation[] = []): Promise<boolean> {
    const key = stateKey(this.#endpoint.id);
    const put = { type: 'put', key, value: encodeRecord(state) } as const;
    const outcome = await this.#guarded([], [put, ...also]);
    if (outcome === 'refused') this.#refused(tooLate());
    return outcome === 'done';
  }

  /** A backlog was told; where it was asked for again meanwhile, that stays. */
  async finishLate(key: ByteString, through: number, state: StateRecord): Promise<boolean> {
    const told: Check = { key, target: 'mod', is: '=', to: through };
    const put = {
      type: 'put',
      key: stateKey(this.#endpoint.id),
      value: encodeRecord(state),
    } as const;
    const done = await this.#commit([told], [put, { type: 'delete', key }]);
    return done || (await this.save(state));
  }

  /** Keeps the state and gives the endpoint up. */
  giveUp(state: StateRecord): Promise<boolean> {
    return this.save({ ...state, processor: null }, [
      { type: 'delete', key: holdKey(this.#endpoint.id) },
    ]);
  }

  /** Of an endpoint that was unregistered meanwhile: nothing is kept. */
  leave(): Promise<boolean> {
    return this.#commit(
      [],
      [
        { type: 'delete', key: holdKey(this.#endpoint.id) },
        { type: 'delete', key: stateKey(this.#endpoint.id) },
      ],
    );
  }

  /** Puts a delivery among the dead letters and moves on. */
  async skip(
    letters: readonly LetterRecord[],
    state: StateRecord,
    detail: string,
  ): Promise<boolean> {
    const { id } = this.#endpoint;
    for (let from = 0; from < letters.length; from += chunkSize) {
      const puts = letters.slice(from, from + chunkSize).map((letter) => {
        const key = letterKey(id, letter.sequence);
        return { type: 'put', key, value: encodeRecord(letter) } as const;
      });
      if (!(await this.#commit([], puts))) return false;
    }
    const watchers = [...new Set(letters.flatMap((letter) => letter.watchers))];
    const told = this.event('skipped', watchers, detail);
    return (await this.save(state, [told])) && (await this.#trimLetters());
  }

  /** Ends watchers for good, and the endpoint with the last one. */
  async remove(
    watchers: readonly WatcherView[],
    kind: 'deregistered' | 'expired',
    detail: string,
  ): Promise<boolean> {
    const { id } = this.#endpoint;
    const ending = new Set(watchers.map((watcher) => watcher.id));
    const others = [...this.#endpoint.watchers.keys()].some((one) => !ending.has(one));
    for (let from = 0; from < watchers.length; from += chunkSize / 2) {
      const part = watchers.slice(from, from + chunkSize / 2);
      const deletes = part.flatMap((watcher) => keysOfWatcher(id, watcher.id).map(deleteOf));
      const ids = part.map((watcher) => watcher.id);
      const apply = [...deletes, this.event(kind, ids, detail)];
      // Who was extended or registered again meanwhile has not come to its end.
      const same = kind === 'expired' ? part.map(unchanged) : [];
      const last = from + part.length === watchers.length;
      // A try may be under way: then the hold goes when it has ended.
      const withHold = kind === 'deregistered';
      if (last && !others && (await this.removeEndpoint(apply, withHold, same))) return true;
      if (!(await this.#commit(same, apply))) return false;
    }
    return true;
  }

  /** @returns false when the hold is gone, or somebody has registered for it since */
  async removeEndpoint(
    also: readonly Operation[],
    withHold: boolean,
    checks: readonly Check[] = [],
  ): Promise<boolean> {
    const { id, modRevision } = this.#endpoint;
    const endpointUnchanged: Check = {
      key: endpointKey(id),
      target: 'mod',
      is: '=',
      to: modRevision,
    };
    const held = withHold ? [stateKey(id), holdKey(id)] : [];
    const parts = [endpointKey(id), lettersAgainKey(id), ...held].map(deleteOf);
    const ranges = (['d', 't'] as const).map((part) => {
      return { type: 'delete', ...ofEndpoint(part, id) } as const;
    });
    return await this.#commit([...checks, endpointUnchanged], [...also, ...parts, ...ranges]);
  }

  /** Lets watchers stand still. */
  async disable(
    watchers: readonly WatcherView[],
    state: StateRecord,
    detail: string,
  ): Promise<boolean> {
    for (let from = 0; from < watchers.length; from += chunkSize) {
      const part = watchers.slice(from, from + chunkSize);
      const puts = part.map((watcher) => {
        const live: LiveRecord = { stopped: 'disabled', since: watcher.since };
        return { type: 'put', key: liveKey(watcher.id), value: encodeRecord(live) } as const;
      });
      const ids = part.map((watcher) => watcher.id);
      const told = this.event('disabled', ids, detail);
      if (!(await this.save(state, [...puts, told]))) return false;
    }
    return true;
  }

  /** An event of the registry, to be put with what it tells of. */
  event(kind: WatcherEventKind, watchers: readonly string[], detail: string): Operation {
    const { normal } = this.#endpoint.record;
    const parts = { clock: this.#clock, random: this.#random };
    return eventPut(parts, { kind, watchers, normal, detail });
  }

  async #trimLetters(): Promise<boolean> {
    const range = ofEndpoint('d', this.#endpoint.id);
    const { count } = await this.#engine.read({ ...range, countOnly: true });
    if (count <= lettersMax) return true;
    const surplus = { ...range, limit: Math.min(count - lettersMax, 100), keysOnly: true };
    const { entries } = await this.#engine.read(surplus);
    return await this.#commit(
      [],
      entries.map(({ key }) => deleteOf(key)),
    );
  }

  async #commit(checks: readonly Check[], apply: readonly Operation[]): Promise<boolean> {
    return (await this.#guarded(checks, apply)) === 'done';
  }

  /** @returns `over` where it was not asked for, or no answer came, before the lease ended */
  async #guarded(
    checks: readonly Check[],
    apply: readonly Operation[],
  ): Promise<'done' | 'refused' | 'over'> {
    const when = [this.#held, ...checks];
    while (this.#lease.isHeld()) {
      try {
        const { succeeded } = await this.#engine.commit({ when, apply });
        return succeeded ? 'done' : 'refused';
      } catch (error) {
        const passing = isWaymarkError(error, 'unavailable') || isWaymarkError(error, 'uncertain');
        if (!passing) throw error;
        await pause(this.#clock, againMs, this.#lease.signal).catch(() => undefined);
      }
    }
    return 'over';
  }
}

function tooLate(): WaymarkError {
  const text = 'another processor has the hold by now: the cursor came too late and was refused';
  return new WaymarkError('lost', text);
}

function deleteOf(key: ByteString): Operation {
  return { type: 'delete', key };
}

function unchanged({ id, modRevision }: WatcherView): Check {
  return { key: watcherKey(id), target: 'mod', is: '=', to: modRevision };
}
