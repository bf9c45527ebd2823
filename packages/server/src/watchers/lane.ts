import { Bell, type ByteString } from 'waymark/engine';
import type { Position } from './records.js';

/** One change that an endpoint is to be told of. */
export interface LaneEvent {
  readonly position: Position;
  readonly kind: 'put' | 'delete' | 'expire' | 'resync';
  readonly namespace: string;
  readonly path: string;
  readonly value: ByteString;
  readonly watchers: readonly string[];
  readonly state?: boolean;
}

/** What all lanes of a processor keep waiting together. */
export class WaitingBytes {
  used = 0;
  readonly max: number;

  constructor(max: number) {
    this.max = max;
  }
}

const eventsMax = 1_000;
const bytesMax = 1_048_576;

/**
 * What waits for one endpoint: a window on history, never a queue without end. A feed offers it whole revisions until it is full; then it leaves the feed,
 * and once it is empty it goes on from history where it stopped.
 */
export class Lane {
  readonly endpoint: string;
  readonly bell = new Bell();
  /** All up to this revision was offered. */
  seen: number;
  /** Whether a feed offers to it. */
  fed = false;
  /** So often it was given to a feed: a watch that began before the last time brings it nothing more. */
  given = 0;
  /** History below was dropped before it was offered. */
  lost = false;
  #revisions: LaneEvent[][] = [];
  #events = 0;
  #bytes = 0;
  readonly #all: WaitingBytes;

  constructor(endpoint: string, seen: number, all: WaitingBytes) {
    this.endpoint = endpoint;
    this.seen = seen;
    this.#all = all;
  }

  get empty(): boolean {
    return this.#revisions.length === 0;
  }

  /** @returns false when it is full: then it was not taken, and neither may be what follows */
  offer(revision: number, events: LaneEvent[]): boolean {
    if (revision <= this.seen) return true;
    const bytes = bytesOf(events);
    const full =
      this.#events + events.length > eventsMax ||
      this.#bytes + bytes > bytesMax ||
      this.#all.used + bytes > this.#all.max;
    if (full && !this.empty) return false;
    this.#revisions.push(events);
    this.#events += events.length;
    this.#bytes += bytes;
    this.#all.used += bytes;
    this.seen = revision;
    this.bell.ring();
    return true;
  }

  /** The oldest whole revisions, as many as are asked for at least one; null when none waits. */
  take(room: { readonly events: number; readonly bytes: number }): LaneEvent[][] | null {
    let [events, bytes, count] = [0, 0, 0];
    for (const one of this.#revisions) {
      events += one.length;
      bytes += bytesOf(one);
      if (count > 0 && (events > room.events || bytes > room.bytes)) break;
      count += 1;
    }
    if (count === 0) return null;
    const taken = this.#revisions.splice(0, count);
    for (const one of taken) this.#count(one);
    this.bell.ring();
    return taken;
  }

  /** Forgets what waits, to begin anew after a revision. */
  restart(seen: number): void {
    for (const one of this.#revisions) this.#count(one);
    this.#revisions = [];
    this.seen = seen;
    this.lost = false;
  }

  #count(events: readonly LaneEvent[]): void {
    const bytes = bytesOf(events);
    this.#events -= events.length;
    this.#bytes -= bytes;
    this.#all.used -= bytes;
  }
}

/** With what keeping an event costs beside its value. */
export function bytesOf(events: readonly LaneEvent[]): number {
  let bytes = 0;
  for (const { value, path, watchers } of events) {
    bytes += 200 + value.length + path.length + watchers.length * 64;
  }
  return bytes;
}
