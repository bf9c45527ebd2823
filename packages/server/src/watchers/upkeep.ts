import { type ByteString, type Clock, type Engine, pause } from 'waymark/engine';
import { allSpokenFor, writeCheckpoint } from './checkpoint.js';
import type { EndpointStore } from './endpoint-store.js';
import type { EndpointWorker } from './endpoint-worker.js';
import type { Feed } from './feed.js';
import type { EndpointView, WatcherView } from './registry.js';

const lagMsDefault = 300_000;
const heldMsDefault = 4 * 3_600_000;
/** Lifetimes are looked at so often, and whether a checkpoint is due. */
const lookMsMax = 1_000;
/** After so many revisions a checkpoint is due early: until it is written, history keeps all that came since the last one. */
const checkpointRevisions = 250_000;

export interface UpkeepParts {
  readonly engine: Engine;
  readonly clock: Clock;
  /** A checkpoint is written so often, and sooner while very much is written. */
  readonly checkpointMs: number;
  /** What has waited so long is told by an event. Default 5 minutes. */
  readonly lagMs?: number | undefined;
  /** How long history is held back for who fails or is behind. Default 4 hours. */
  readonly heldMs?: number | undefined;
  readonly failed: (what: string, error: unknown) => void;
}

/** An endpoint that is delivered to. */
export interface Kept {
  readonly endpoint: EndpointView;
  readonly worker: EndpointWorker;
  readonly store: EndpointStore;
  lagTold: boolean;
}

export interface UpkeepView {
  readonly id: string;
  readonly feed: Feed;
  readonly held: () => Kept[];
  /** Endpoints that it had, and of which it could not keep how far they were told. */
  readonly untold: ReadonlySet<string>;
  /** What is told of the processor. */
  readonly record: () => ByteString;
  readonly inTurn: <T>(task: () => Promise<T>) => Promise<T>;
  /** Told after each checkpoint up to where history is no more needed. */
  readonly needed: (revision: number) => void;
}

/** What a processor does beside delivering: checkpoints, lifetimes, alerts. */
export class Upkeep {
  readonly #parts: UpkeepParts;
  readonly #view: UpkeepView;
  readonly #past: Past;
  #needed = 0;

  constructor(parts: UpkeepParts, view: UpkeepView) {
    this.#parts = parts;
    this.#view = view;
    this.#past = new Past(parts.heldMs ?? heldMsDefault);
  }

  /** @returns after the signal */
  async run(signal: AbortSignal): Promise<void> {
    const { checkpointMs, clock } = this.#parts;
    const { feed, inTurn } = this.#view;
    let last = { revision: 0, position: feed.position, at: clock.now() };
    const lookMs = Math.min(lookMsMax, checkpointMs);
    const checkpoints = this.#every(lookMs, 'writing a checkpoint', signal, async () => {
      const [at, { position }] = [clock.now(), feed];
      if (at - last.at < checkpointMs && position - last.position < checkpointRevisions) return;
      last = { revision: await inTurn(() => this.#checkpoint(last.revision)), position, at };
    });
    const lifetimes = this.#every(lookMs, 'ending a lifetime', signal, () => this.#expire());
    await Promise.all([checkpoints, lifetimes]);
  }

  async #every(
    ms: number,
    what: string,
    signal: AbortSignal,
    task: () => Promise<void>,
  ): Promise<void> {
    const { clock, failed } = this.#parts;
    for (;;) {
      await pause(clock, ms, signal).catch(() => undefined);
      if (signal.aborted) return;
      await task().catch((error: unknown) => failed(what, error));
    }
  }

  async #checkpoint(last: number): Promise<number> {
    const { clock, engine, heldMs = heldMsDefault } = this.#parts;
    const { id, feed, needed, record, untold } = this.#view;
    const held = this.#view.held();
    const { registry, position } = feed;
    const oldest = this.#past.at(clock.now(), position);
    const told = { id, position, held, untold, last, now: clock.wallNow(), heldMs, oldest };
    const { revision, low } = await writeCheckpoint(engine, registry, told, record());
    const others = [...registry.checkpoints].filter(([other]) => other !== id);
    const lowest = Math.min(low, ...others.map(([, other]) => other.low));
    const own = new Set(held.map(({ endpoint }) => endpoint.id));
    if (allSpokenFor(registry, id, own)) this.#needed = lowest;
    this.#needed = Math.max(Math.min(this.#needed, lowest), oldest);
    needed(this.#needed);
    await this.#alertLags(held);
    return revision;
  }

  async #alertLags(held: readonly Kept[]): Promise<void> {
    const { lagMs = lagMsDefault } = this.#parts;
    for (const one of held) {
      const late = one.worker.waitedMs >= lagMs;
      if (late === one.lagTold) continue;
      one.lagTold = late;
      if (late) await this.#alertLag(one);
    }
  }

  async #alertLag({ worker, store, endpoint }: Kept): Promise<void> {
    const { engine } = this.#parts;
    const ids = [...endpoint.watchers.keys()];
    const seconds = Math.round(worker.waitedMs / 1_000);
    const detail = `nothing was accepted for ${seconds} s, after revision ${worker.position.revision}`;
    await engine.commit({ apply: [store.event('lag', ids, detail)] });
  }

  /** Of the watchers of endpoints that it holds. */
  async #expire(): Promise<void> {
    const now = this.#parts.clock.wallNow();
    for (const { endpoint, store } of this.#view.held()) {
      const { watchers } = endpoint;
      if (watchers.size === 0) await store.removeEndpoint([], false);
      else if (someDue(watchers, now)) {
        const due = [...watchers.values()].filter((one) => isDue(one, now));
        await store.remove(due, 'expired', 'its lifetime has ended');
      }
    }
  }
}

/** Of 10 000 endpoints none mostly: looking makes no lists. */
function someDue(watchers: EndpointView['watchers'], now: number): boolean {
  for (const one of watchers.values()) if (isDue(one, now)) return true;
  return false;
}

function isDue({ record }: WatcherView, now: number): boolean {
  return record.expiresAt !== null && record.expiresAt <= now;
}

/** So many moments are known of the time that history is held back. */
const moments = 240;

/** What the present was, as far back as history is held. */
class Past {
  readonly #ms: number;
  readonly #known: { readonly at: number; readonly revision: number }[] = [];

  constructor(ms: number) {
    this.#ms = ms;
  }

  /** Notes the present. @returns what it was so long ago; 0 where that is not known */
  at(now: number, revision: number): number {
    const known = this.#known;
    const newest = known.at(-1);
    if (newest === undefined || now - newest.at >= this.#ms / moments)
      known.push({ at: now, revision });
    while ((known[1]?.at ?? Infinity) <= now - this.#ms) known.shift();
    const [oldest] = known;
    return oldest !== undefined && oldest.at <= now - this.#ms ? oldest.revision : 0;
  }
}
