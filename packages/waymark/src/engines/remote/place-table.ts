import { WaymarkError } from '../../core/errors.js';
import type { Method } from '../../wire/method.js';
import { malformed } from '../../wire/reader.js';
import { Pending } from './pending.js';

/** Calls and subscriptions of one client at once. */
const placesMax = 100_000;

/** The calls of a connection: each has a place, whose number is the id of its request. */
export class PlaceTable {
  /** Calls that wait to be sent, oldest first. */
  queue: Pending[] = [];
  /** Calls sent and not answered; subscriptions are not counted. */
  sent = 0;
  readonly #places: Pending[] = [];
  readonly #free: Pending[] = [];

  /** @returns null when there are too many */
  take(method: Method<unknown, unknown>): Pending | null {
    let place = this.#free.pop();
    if (place === undefined) {
      if (this.#places.length >= placesMax) return null;
      place = new Pending(this.#places.length + 1);
      this.#places.push(place);
    }
    place.method = method;
    return place;
  }

  give(place: Pending): void {
    this.#uncount(place);
    place.clear();
    this.#free.push(place);
  }

  enqueue(place: Pending): void {
    place.state = 'queued';
    this.queue.push(place);
  }

  dequeue(place: Pending): void {
    this.queue = this.queue.filter((other) => other !== place);
    this.give(place);
  }

  wrote(place: Pending): void {
    place.state = 'sent';
    if (place.sink !== null) return;
    place.counted = true;
    this.sent++;
  }

  /** The place an answer is for. @throws {WaymarkError} `invalid` when nothing was asked under this id */
  find(id: number): Pending {
    const place = this.#places[id - 1];
    if (place === undefined || (place.state !== 'sent' && place.state !== 'left')) {
      throw malformed(`an answer to ${id}, which nobody asked`);
    }
    return place;
  }

  /** Whether a call that does not wait for long is still to be answered. */
  get busy(): boolean {
    return this.#places.some(
      ({ state, sink, since }) => state === 'sent' && sink === null && since >= 0,
    );
  }

  /** Those whose deadline has passed. */
  late(tick: number): Pending[] {
    return this.#places.filter(
      ({ since, ticks, state }) =>
        since >= 0 && tick - since > ticks && (state === 'sent' || state === 'queued'),
    );
  }

  /** The transport broke: what may be asked again is queued before all that waited, the rest ends `uncertain`. */
  broke(cause: unknown): void {
    const again: Pending[] = [];
    for (const place of this.#places) {
      const { state, reject, undo } = place;
      if (state !== 'sent' && state !== 'left') continue;
      if (state === 'left' || place.givenUp) {
        this.give(place);
        reject?.(cause);
        void undo?.(undefined);
      } else if (place.sink !== null || place.method?.whenBroken === 'retry') {
        this.#uncount(place);
        place.state = 'queued';
        place.resent = true;
        again.push(place);
      } else {
        this.give(place);
        reject?.(uncertain('the connection broke before the answer came', cause));
      }
    }
    this.queue = again.concat(this.queue);
  }

  /** The connection is over. */
  fail(error: WaymarkError): void {
    this.queue = [];
    for (const place of this.#places) {
      const { state, reject, sink, method } = place;
      if (state === 'free') continue;
      this.give(place);
      const maybe = state === 'sent' && method?.whenBroken === 'uncertain';
      if (sink !== null) sink.failed(error);
      else reject?.(maybe ? uncertain('the connection was closed', error) : error);
    }
  }

  #uncount(place: Pending): void {
    if (place.counted) this.sent--;
    place.counted = false;
  }
}

export function uncertain(why: string, cause?: unknown): WaymarkError {
  return new WaymarkError('uncertain', `${why}: it may have been applied or not`, {}, cause);
}

export function overloaded(): WaymarkError {
  return new WaymarkError('overloaded', `more than ${placesMax} calls wait for the server`);
}
