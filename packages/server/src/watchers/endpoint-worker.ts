import { type Engine, isWaymarkError, type ByteString } from 'waymark/engine';
import type { EndpointStore } from './endpoint-store.js';
import type { Feed } from './feed.js';
import { patternMatches } from './glob.js';
import type { Lane, LaneEvent } from './lane.js';
import { ofEndpoint } from './keys.js';
import {
  decodeRecord,
  type LetterRecord,
  type Position,
  type ResyncState,
  type StateRecord,
} from './records.js';
import type { BacklogView, EndpointView, WatcherView } from './registry.js';
import { wholeRevision } from './sequence.js';
import type { Sender } from './sender.js';
import type { Progress, Teller } from './teller.js';
import { type EntriesParts, tellEntries } from './tell-entries.js';
import { backlogRevisions, eventOfLetter, portionsOf, type PortionLimits } from './telling.js';

const lettersAtOnce = 50;

export interface WorkerParts {
  readonly engine: Engine;
  readonly identity: string;
  readonly endpoint: EndpointView;
  readonly feed: Feed;
  readonly lane: Lane;
  readonly store: EndpointStore;
  readonly teller: Teller;
  readonly sender: Sender;
  /** What the kind of endpoint takes at once. */
  readonly limits: PortionLimits;
}

/**
 * Delivers to one endpoint for as long as this processor holds it. What is told next: what a watcher is told late, before anything newer; then what came in order; in place of
 * history that is gone, what is there now.
 */
export class EndpointWorker {
  /** Whether the cursor was kept as the endpoint was given up, or there is none any more: what was not told is known then. */
  keptAll = false;
  readonly #parts: WorkerParts;
  #ended: AbortController | null = null;
  #unregistered = false;
  /** Something was taken from the lane, and is not accepted. */
  #telling = false;
  /** Nothing comes to the lane any more: it speaks for nothing. */
  #left = false;
  #run: Promise<void> | null = null;

  constructor(parts: WorkerParts) {
    this.#parts = parts;
  }

  /** All up to here is told; where nothing waits, all that was looked through. */
  get position(): Position {
    const { lane, feed, teller } = this.#parts;
    const { cursor } = teller.state;
    if (!this.idle) return cursor;
    const revision = feed.lanes.has(lane.endpoint) ? feed.position : lane.seen;
    return revision > cursor.revision ? { revision, index: wholeRevision } : cursor;
  }

  /** Whether nothing waits: then a checkpoint speaks for it. */
  get idle(): boolean {
    const { lane, teller, endpoint } = this.#parts;
    const { late, cursor, failing } = teller.state;
    const settled = late === null && cursor.resync === null && failing === null;
    return (
      settled &&
      !this.#left &&
      !this.#telling &&
      lane.empty &&
      !lane.lost &&
      endpoint.backlog.size === 0
    );
  }

  /** How long what is being told has waited, ms. */
  get waitedMs(): number {
    return this.#parts.teller.waitedMs;
  }

  /** Unix time in ms; null while deliveries are accepted. */
  get failingSince(): number | null {
    return this.#parts.teller.state.failing?.since ?? null;
  }

  /** @returns when it delivers no more, and has given up the hold where it had it */
  start(): Promise<void> {
    return (this.#run ??= this.#work());
  }

  /** Lets the try under way end, and gives the endpoint up. */
  async giveUp(): Promise<void> {
    this.#parts.teller.end();
    await this.#run;
  }

  /** The endpoint is no more: what is under way ends now. */
  async unregistered(): Promise<void> {
    this.#unregistered = true;
    this.#parts.teller.abort();
    await this.#run;
  }

  /** The hold is gone. */
  async lost(): Promise<void> {
    this.#parts.teller.abort();
    await this.#run;
  }

  async #work(): Promise<void> {
    const { teller, feed, lane, store } = this.#parts;
    feed.add(lane);
    try {
      while (await teller.ready(() => this.#somethingToTell())) {
        this.#telling = true;
        await this.#tellNext();
        // What was not accepted when it ended is in no lane.
        this.#telling = teller.ending;
        if (!teller.live) this.#standStill();
      }
    } finally {
      this.#ended?.abort();
      // Where nothing waits it has come as far as the feed: the next one need not read all that.
      const { position } = this;
      this.#left = true;
      feed.remove(lane);
      lane.restart(lane.seen);
      await this.#parts.sender.close();
      if (this.#unregistered) this.keptAll = await store.leave();
      else if (!teller.over) {
        const cursor = { ...teller.state.cursor, ...position };
        this.keptAll = await store.giveUp({ ...teller.state, cursor });
      }
    }
  }

  /** What waited comes from history again: as those who are resumed are told late what they missed. */
  #standStill(): void {
    const { feed, lane, teller } = this.#parts;
    feed.remove(lane);
    lane.restart(beginning(teller.state.cursor));
  }

  #somethingToTell(): boolean {
    const { teller, lane, endpoint } = this.#parts;
    if (!teller.live) return false;
    const { late, cursor } = teller.state;
    if (!lane.empty || lane.lost || cursor.resync !== null) return true;
    return late !== null || endpoint.backlog.size > 0 || !lane.fed;
  }

  async #tellNext(): Promise<void> {
    const { teller, lane, endpoint, feed } = this.#parts;
    const { cursor } = teller.state;
    if (cursor.resync !== null) return await this.#tellState(cursor.resync);
    const [backlog] = endpoint.backlog;
    if (backlog !== undefined) return await this.#tellLate(...backlog);
    if (teller.state.late !== null) teller.state = { ...teller.state, late: null };
    const revisions = lane.take(this.#limits());
    if (revisions !== null) return await this.#tellChanges(revisions);
    if (lane.lost) return await this.#resync();
    if (!lane.fed) feed.add(lane);
  }

  async #tellChanges(revisions: readonly LaneEvent[][]): Promise<void> {
    const { teller } = this.#parts;
    const { cursor } = teller.state;
    for (const portion of portionsOf(revisions, this.#limits(), cursor)) {
      if (!(await teller.tell({ portion, replay: false, moved: onward }))) return;
    }
  }

  /** What a watcher is told that was before its time, or that it asked for again. The stream goes back, so a new era begins. */
  async #tellLate(key: ByteString, view: BacklogView): Promise<void> {
    const { teller, endpoint, store, engine, identity } = this.#parts;
    const watcher = endpoint.watchers.get(view.watcher);
    const { through } = view;
    const known = teller.state.late;
    // One that was asked for again since begins anew.
    const begun = known?.key === key && known.through === through ? known : null;
    const start = { revision: view.after, index: wholeRevision, key, through };
    const late = begun ?? start;
    if (begun === null) teller.state = { ...teller.state, era: teller.state.era + 1, late };
    const { signal } = (this.#ended ??= new AbortController());
    if (view.letters === true) {
      if (!(await this.#tellLetters())) return;
    } else if (watcher !== undefined) {
      const matches = patternMatches(watcher.record.pattern);
      const backlog = { key, view, from: late };
      const { namespace } = watcher.record;
      const revisions = backlogRevisions({ engine, identity, signal }, backlog, matches, namespace);
      if (!(await this.#tellLateRevisions(revisions, late, watcher, view))) return;
    }
    const next = { ...teller.state, late: null };
    if (await store.finishLate(key, through, next)) teller.state = next;
    if (endpoint.backlog.get(key) === view) endpoint.backlog.delete(key);
  }

  async #tellLateRevisions(
    batches: AsyncIterable<LaneEvent[][]>,
    late: NonNullable<StateRecord['late']>,
    watcher: WatcherView,
    view: BacklogView,
  ): Promise<boolean> {
    const { teller } = this.#parts;
    const moved = ({ cursor }: Progress, told: Position): Progress => {
      return { cursor, late: { ...late, ...told } };
    };
    try {
      for await (const revisions of batches) {
        for (const portion of portionsOf(revisions, this.#limits(), late)) {
          if (!(await teller.tell({ portion, replay: true, moved }))) return false;
        }
      }
      return true;
    } catch (error) {
      if (!isWaymarkError(error, 'compacted')) throw error;
      const at = Math.max(view.through, error.facts.compacted ?? 0);
      return await tellEntries(this.#entries(), { from: view.after, at }, [watcher], still);
    }
  }

  /** Each goes when it was accepted. One that is refused again stays, and the others have their turn. */
  async #tellLetters(): Promise<boolean> {
    const { teller, engine, endpoint } = this.#parts;
    for (let range = ofEndpoint('d', endpoint.id); ;) {
      const page = await engine.read({ ...range, limit: lettersAtOnce });
      for (const { key, value } of page.entries) {
        const event = eventOfLetter(decodeRecord<LetterRecord>(value));
        const portion = { events: [event], part: undefined, through: event.position };
        const also = [{ type: 'delete', key } as const];
        if (!(await teller.tell({ portion, replay: true, moved: still, also }))) return false;
      }
      const last = page.entries.at(-1);
      if (!page.more || last === undefined) return true;
      range = { ...range, key: `${last.key}\0` };
    }
  }

  /** History is gone below what was not told. */
  async #resync(): Promise<void> {
    const { teller, lane, engine, feed, store, endpoint } = this.#parts;
    feed.remove(lane);
    const from = teller.state.cursor.revision;
    const { revision: at } = await engine.read({ key: 'r/m', countOnly: true });
    const cursor = { revision: at, index: -1, resync: { from, at } };
    const next = { ...teller.state, cursor };
    const detail = `history after revision ${from} is gone: what is there at ${at} is told in its place`;
    const event = store.event('resync', [...endpoint.watchers.keys()], detail);
    if (!(await store.save(next, [event]))) return teller.abort();
    teller.state = next;
    lane.restart(at);
  }

  async #tellState(resync: ResyncState): Promise<void> {
    const { teller, endpoint, lane, feed } = this.#parts;
    const watchers = [...endpoint.watchers.values()];
    const moved = ({ late }: Progress, { index }: Position): Progress => {
      return { cursor: { revision: resync.at, index, resync }, late };
    };
    try {
      if (!(await tellEntries(this.#entries(), resync, watchers, moved))) return;
    } catch (error) {
      if (!isWaymarkError(error, 'compacted')) throw error;
      // Even that is gone by now: it begins anew.
      return await this.#resync();
    }
    const cursor = { revision: resync.at, index: wholeRevision, resync: null };
    teller.state = { ...teller.state, cursor };
    lane.restart(resync.at);
    feed.add(lane);
  }

  #entries(): EntriesParts {
    const { engine, teller } = this.#parts;
    return { engine, teller, most: this.#limits().events };
  }

  #limits(): PortionLimits {
    const { limits, endpoint } = this.#parts;
    return { events: Math.min(limits.events, endpoint.record.batch), bytes: limits.bytes };
  }
}

function onward({ late }: Progress, { revision, index }: Position): Progress {
  return { cursor: { revision, index, resync: null }, late };
}

function still(progress: Progress): Progress {
  return progress;
}

/** A revision that was told in part is read again. */
export function beginning({ revision, index }: Position): number {
  return index === wholeRevision ? revision : revision - 1;
}
