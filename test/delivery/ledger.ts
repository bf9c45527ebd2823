import type { Change, Engine, SharingMode } from 'waymark/engine';
import { expect } from 'vitest';
import { all, lastPart, modeKey } from '../../packages/server/src/watchers/keys.js';
import {
  decodeRecord,
  type HoldRecord,
  type ModeRecord,
  type ProcessorRecord,
  type StateRecord,
} from '../../packages/server/src/watchers/records.js';

/** What went on in a mode of sharing out. */
export interface ModeFigures {
  /** Events that cursors passed. */
  delivered: number;
  /** Holds that were taken. */
  holds: number;
}

const startMode = 'endpoint';
/** On the slowest machine somebody writes something within that. */
const stillMs = 180_000;

/**
 * Reads along what processors write, as the engine has it: each cursor is written by who has the endpoint's hold at that revision, and goes on from the one before (W1.3). A hold is one key, so no two
 * processors have the right at once where this stands.
 */
export class Ledger {
  readonly byMode = new Map<SharingMode['by'], ModeFigures>();
  /** Events that cursors passed. */
  delivered = 0;
  readonly #ending = new AbortController();
  readonly #holds = new Map<string, string>();
  readonly #states = new Map<string, StateRecord>();
  readonly #owners = new Map<string, string>();
  readonly #run: Promise<void>;
  #mode: SharingMode['by'] = startMode;
  #wake = (): void => {};
  #failure: { readonly error: unknown } | null = null;

  /** @param engine  in which nothing was delivered so far */
  constructor(engine: Engine) {
    this.#run = this.#follow(engine).catch((error: unknown) => {
      this.#failure = { error };
      this.#wake();
    });
  }

  /** Resolves once the cursors that were read say so. @throws what was wrong with one */
  async until(fact: () => boolean, told: () => string): Promise<void> {
    while (this.#failure === null && !fact()) {
      await new Promise<void>((resolve, reject) => {
        const stuck = (): void => reject(new Error(`nothing moves any more: ${told()}`));
        const timer = setTimeout(stuck, stillMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.check();
  }

  /** What an endpoint's cursor says, as far as was read. */
  state(endpoint: string): StateRecord | undefined {
    return this.#states.get(endpoint);
  }

  /** The processor that holds an endpoint, as far as was read. */
  holder(endpoint: string): string | undefined {
    return this.#holds.get(endpoint);
  }

  /** Live processors of an owner, as far as was read. */
  processorsOf(owner: string): string[] {
    return [...this.#owners].filter(([, one]) => one === owner).map(([processor]) => processor);
  }

  /** @throws what was wrong with a cursor */
  async close(): Promise<void> {
    this.#ending.abort();
    await this.#run;
    this.check();
  }

  /** @throws what was wrong with a cursor that was read */
  check(): void {
    if (this.#failure !== null) throw this.#failure.error;
  }

  async #follow(engine: Engine): Promise<void> {
    const { signal } = this.#ending;
    const ranges = [all.holds, all.states, all.processors, { key: modeKey }];
    try {
      for await (const { changes } of engine.watch(ranges, { after: 0, signal })) {
        this.#take(changes);
        this.#wake();
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  /** Of one or more whole revisions. A hold that is deleted with its last cursor is read after it. */
  #take(changes: readonly Change[]): void {
    for (const revision of revisionsIn(changes)) {
      const gone: string[] = [];
      for (const { kind, entry } of revision) {
        const id = lastPart(entry.key);
        if (entry.key.startsWith(all.processors.key)) this.#announced(kind, entry);
        else if (entry.key === modeKey) this.#mode = decodeRecord<ModeRecord>(entry.value).mode.by;
        else if (!entry.key.startsWith(all.holds.key)) continue;
        else if (kind === 'put') this.#held(id, decodeRecord<HoldRecord>(entry.value).processor);
        else gone.push(id);
      }
      for (const { kind, entry } of revision) {
        if (kind !== 'put' || !entry.key.startsWith(all.states.key)) continue;
        this.#kept(lastPart(entry.key), decodeRecord<StateRecord>(entry.value));
      }
      for (const id of gone) this.#holds.delete(id);
    }
  }

  #held(endpoint: string, processor: string): void {
    expect(this.#holds.get(endpoint), `${endpoint} is held already`).toBeUndefined();
    this.#holds.set(endpoint, processor);
    this.#figures().holds += 1;
  }

  #announced(kind: Change['kind'], { key, value }: Change['entry']): void {
    if (kind !== 'put') this.#owners.delete(lastPart(key));
    else this.#owners.set(lastPart(key), decodeRecord<ProcessorRecord>(value).owner);
  }

  #kept(endpoint: string, state: StateRecord): void {
    const holder = this.#holds.get(endpoint);
    expect(holder, `a cursor of ${endpoint}, that nobody holds`).toBeDefined();
    // Who gives it up writes nobody's name.
    if (state.processor !== null) expect(state.processor, endpoint).toBe(holder);
    const before = this.#states.get(endpoint);
    this.#states.set(endpoint, state);
    const more = state.delivered - (before?.delivered ?? 0);
    this.delivered += more;
    this.#figures().delivered += more;
    if (before === undefined) return;
    const { revision, index } = before.cursor;
    const { cursor, delivered } = state;
    const back =
      cursor.revision < revision || (cursor.revision === revision && cursor.index < index);
    expect(back, `the cursor of ${endpoint} goes back`).toBe(false);
    expect(delivered, `what ${endpoint} was told`).toBeGreaterThanOrEqual(before.delivered);
    expect(state.last >= before.last, `the last sequence of ${endpoint}`).toBe(true);
  }

  #figures(): ModeFigures {
    let figures = this.byMode.get(this.#mode);
    if (figures === undefined) this.byMode.set(this.#mode, (figures = { delivered: 0, holds: 0 }));
    return figures;
  }
}

function revisionsIn(changes: readonly Change[]): Change[][] {
  const revisions: Change[][] = [];
  for (const change of changes) {
    const last = revisions.at(-1);
    if (last?.[0]?.entry.modRevision === change.entry.modRevision) last.push(change);
    else revisions.push([change]);
  }
  return revisions;
}
