import type { Change } from 'waymark/engine';
import type { Lane, LaneEvent } from './lane.js';
import { type PlacedChange, placed } from './matching.js';
import type { Concerned, Registry } from './registry.js';

/** Offers changes to those whom they concern. One serves a whole batch: a change that concerns nobody makes no objects. */
export class Offering {
  readonly #registry: Registry;
  readonly #find: (endpoint: string) => Lane | undefined;
  readonly #overflowed: (lane: Lane) => void;
  #revision = 0;

  constructor(
    registry: Registry,
    find: (endpoint: string) => Lane | undefined,
    overflowed: (lane: Lane) => void,
  ) {
    this.#registry = registry;
    this.#find = find;
    this.#overflowed = overflowed;
  }

  /** @param data  all changes of data of this revision */
  offer(revision: number, data: readonly Change[]): void {
    const { matching: matchingOf } = this.#registry;
    this.#revision = revision;
    if (data.length === 1) return placed(data, matchingOf, this.#alone);
    const events = new Map<string, LaneEvent[]>();
    placed(data, matchingOf, (change, matching) => {
      for (const [endpoint, watchers] of matching) {
        const event = eventOf(change, watchers);
        const own = events.get(endpoint);
        if (own === undefined) events.set(endpoint, [event]);
        else own.push(event);
      }
    });
    // Namespaces that share a revision stand in the order of their codes.
    for (const [endpoint, own] of events) this.#give(endpoint, own.sort(byIndex));
  }

  readonly #alone = (change: PlacedChange, matching: Concerned): void => {
    for (const [endpoint, watchers] of matching) this.#give(endpoint, [eventOf(change, watchers)]);
  };

  #give(endpoint: string, own: LaneEvent[]): void {
    const lane = this.#find(endpoint);
    if (lane !== undefined && !lane.offer(this.#revision, own)) this.#overflowed(lane);
  }
}

function eventOf(change: PlacedChange, watchers: readonly string[]): LaneEvent {
  const { position, kind, namespace, path, value } = change;
  return { position, kind, namespace, path, value, watchers };
}

function byIndex(a: LaneEvent, b: LaneEvent): number {
  return a.position.index - b.position.index;
}
