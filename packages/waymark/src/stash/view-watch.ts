import { Bell } from '../core/bell.js';
import type { Clock } from '../core/clock.js';
import type { CallOptions, Engine } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import { pause } from '../core/pause.js';
import { Known } from './known.js';
import { viewRange } from './view.js';

/** When nobody has asked for so long, the watch ends, unless the last view is all that there is. */
const idleMsMax = 60_000;
/** After it broke. */
const againMs = 500;
/** The engine has so long to answer who would know what is new. */
const answerMsMax = 10_000;

/**
 * The view as it stands, by one watch that lasts while somebody asks or listens. While the engine is away the last view goes on to hold: what it says of who keeps what can only have changed in
 * a way that the nodes know, and they refuse it then.
 */
export class ViewWatch {
  readonly #engine: Engine;
  readonly #clock: Clock;
  readonly #bell = new Bell();
  readonly #listeners = new Set<(known: Known) => void>();
  #known: Known | null = null;
  /** Why it could not be read, or watched on, last. */
  #trouble: unknown = null;
  #tries = 0;
  #running: AbortController | null = null;
  #done: Promise<void> = Promise.resolve();
  #usedAt = 0;
  #closed = false;

  constructor(engine: Engine, clock: Clock) {
    this.#engine = engine;
    this.#clock = clock;
  }

  /** What is known, without waiting for it; null: ask `known`. */
  get last(): Known | null {
    this.#usedAt = this.#clock.now();
    return this.#known;
  }

  /** @throws {WaymarkError} `unavailable` when the engine is away and nothing was known; `invalid` for a view of a later version */
  async known(options?: CallOptions): Promise<Known> {
    const tries = this.#tries;
    return await this.#once(() => this.#known !== null || this.#tries > tries, options);
  }

  /** Waits for an epoch above this one. @throws as `known` */
  async above(epoch: number, options?: CallOptions): Promise<Known> {
    const newer = (): boolean => (this.#known?.epoch ?? 0) > epoch;
    const known = await this.#once(newer, options);
    if (newer()) return known;
    if (this.#trouble !== null) throw this.#trouble;
    const why = `a node knows of an epoch above ${epoch}, which the space does not tell of yet`;
    throw new WaymarkError('unavailable', why);
  }

  /** Calls `changed` with every change, and when there is something to know at all. @returns stops */
  listen(changed: (known: Known) => void): () => void {
    this.#listeners.add(changed);
    if (this.#known !== null) changed(this.#known);
    else this.#start();
    return () => {
      this.#usedAt = this.#clock.now();
      this.#listeners.delete(changed);
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#running?.abort();
    await this.#done;
  }

  async #once(fact: () => boolean, { signal }: CallOptions = {}): Promise<Known> {
    signal?.throwIfAborted();
    this.#usedAt = this.#clock.now();
    this.#start();
    await this.#bell.until(fact, { clock: this.#clock, ms: answerMsMax, signal });
    signal?.throwIfAborted();
    if (this.#known !== null) return this.#known;
    const why = `the space did not tell of its stash within ${answerMsMax} ms`;
    throw this.#trouble ?? new WaymarkError('unavailable', why);
  }

  #start(): void {
    if (this.#running !== null) return;
    if (this.#closed) throw new WaymarkError('unavailable', 'the space is closed');
    const running = new AbortController();
    this.#running = running;
    const disarm = this.#endWhenIdle(running);
    this.#done = this.#run(running.signal).finally(() => {
      disarm();
      this.#running = null;
      this.#known = null;
    });
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#follow(signal);
        this.#trouble = new WaymarkError('unavailable', 'the watch of the stash ended');
      } catch (error) {
        this.#trouble = error;
      }
      this.#tries++;
      this.#bell.ring();
      await pause(this.#clock, againMs, signal).catch(() => undefined);
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { entries, revision } = await this.#engine.read(viewRange, { signal });
    const known = new Known();
    for (const entry of entries) known.take(entry);
    this.#known = known;
    this.#tell(known);
    for await (const { changes } of this.#engine.watch([viewRange], { after: revision, signal })) {
      if (changes.length === 0) continue;
      for (const { entry, kind } of changes) known.take(entry, kind !== 'put');
      this.#tell(known);
    }
  }

  #tell(known: Known): void {
    this.#trouble = null;
    for (const changed of this.#listeners) changed(known);
    this.#bell.ring();
  }

  #endWhenIdle(running: AbortController): () => void {
    let disarm = (): void => {};
    const look = (): void => {
      const idle = this.#clock.now() - this.#usedAt >= idleMsMax && this.#listeners.size === 0;
      // While the engine is away nobody could be told anew of what is known.
      if (idle && (this.#known === null || this.#trouble === null)) running.abort();
      else disarm = this.#clock.after(idleMsMax, look);
    };
    look();
    return () => disarm();
  }
}
