import type { Clock, Random } from '../../core/clock.js';
import { WaymarkError } from '../../core/errors.js';
import { soon } from '../../core/soon.js';
import { systemClock, systemRandom } from '../../core/system-clock.js';
import type { TraceContext } from '../../core/tracing.js';
import type { Welcome } from '../../wire/hello.js';
import { messages } from '../../wire/messages.js';
import type { Method } from '../../wire/method.js';
import { writeTrace } from '../../wire/trace-codec.js';
import { addressesOf } from './addresses.js';
import { Link } from './link.js';
import type { Pending, Sink } from './pending.js';
import { overloaded, PlaceTable, uncertain } from './place-table.js';
import { Pulse } from './pulse.js';
import { broken, unanswered } from './failures.js';

export interface ConnectOptions {
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
  /** Told to the server, for its logs. */
  readonly client?: string | undefined;
  readonly token?: string | undefined;
  /** A call without an answer for so long ends `unavailable` or `uncertain`. Default 30 000; waiting for a lock has no such end. */
  readonly callTimeoutMs?: number | undefined;
  /** The first connection must stand within this. Default 10 000. */
  readonly connectTimeoutMs?: number | undefined;
  /** Ends the opening. */
  readonly signal?: AbortSignal | undefined;
  /** A new transport is made when one breaks. Default true; false: the connection is closed then. */
  readonly reconnect?: boolean | undefined;
  /** Where in a trace a call that is made now stands. Default: in none. */
  readonly trace?: (() => TraceContext | null) | undefined;
  /** Told once the connection is closed, by whom ever. */
  readonly closed?: (() => void) | undefined;
}

/** How a call that lasts is made: see `Connection.call`. */
export interface CallExtras {
  /** It may wait at the server, for a place in a queue say, before the time of a call begins. Infinity: it has no end but its own. */
  readonly waitMs?: number | undefined;
  /** Ends without an answer for so long, in steps of a second; default: as all calls of the connection. */
  readonly withinMs?: number | undefined;
  /** On abort the server is asked to let go first, and what it gave meanwhile is given back by this before the call ends. */
  readonly undo?: (result: unknown) => Promise<void>;
}

/** With more than this buffered, calls wait their turn. */
const bufferedBytesMax = 1_048_576;

/**
 * One client's connection, which outlives its transports: calls are matched with answers by their place in a table, all
 * messages of a turn leave in one write, and when the transport breaks a new one is made. What was under way then ends as
 * its method says: repeated where that is safe, `uncertain` where it may have happened; what was never sent waits.
 */
export class Connection {
  readonly #callTicks: number;
  readonly #told: (() => void) | undefined;
  readonly #trace: ConnectOptions['trace'];
  readonly #table = new PlaceTable();
  readonly #link: Link;
  readonly #pulse: Pulse;
  #closed: WaymarkError | null = null;
  /** Why the last transport broke. */
  #cause: unknown;
  #opening: { resolve: () => void; reject: (error: unknown) => void } | null = null;

  private constructor(url: string, clock: Clock, options: ConnectOptions) {
    const { random = systemRandom, client = 'waymark', token, reconnect = true } = options;
    const { callTimeoutMs = 30_000 } = options;
    this.#told = options.closed;
    this.#trace = options.trace;
    const addresses = addressesOf(url);
    this.#link = new Link({ addresses, clock, random, client, token }, this.#table, {
      ready: () => {
        this.#opening?.resolve();
        this.#drainQueue();
      },
      broke: (cause) => {
        this.#cause = cause;
        if (reconnect) this.#table.broke(cause);
        else this.#fail(broken(url, cause));
      },
      refused: (error) => this.#fail(error),
      moved: () => {
        this.#drainQueue();
        this.#leaveIfDone();
      },
      heard: () => this.#pulse.heard(),
    });
    this.#pulse = new Pulse(clock, callTimeoutMs, {
      expire: (tick) => this.#expire(tick),
      ping: () => {
        if (this.#link.ready) this.#link.signal(messages.ping);
      },
      dead: (silentMs) => this.#link.broke(new Error(`nothing heard for ${silentMs} ms`)),
    });
    this.#callTicks = this.#pulse.ticksOf(callTimeoutMs);
  }

  /**
   * @param url  of a server, or of several that serve the same engine: see addresses.ts
   * @throws {WaymarkError} `unavailable` when no server answers in time, or its refusal; `invalid` for the URL
   */
  static async open(url: string, options: ConnectOptions = {}): Promise<Connection> {
    const { signal, clock = systemClock, connectTimeoutMs = 10_000 } = options;
    signal?.throwIfAborted();
    const connection = new Connection(url, clock, options);
    const expire = (): void => connection.#fail(unanswered(url, connection.#cause));
    const stop = clock.after(connectTimeoutMs, expire, true);
    const abort = (): void => connection.#fail(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    try {
      await new Promise<void>((resolve, reject) => {
        connection.#opening = { resolve, reject };
        connection.#link.connect();
      });
    } catch (error) {
      connection.close();
      throw error;
    } finally {
      stop();
      signal?.removeEventListener('abort', abort);
    }
    return connection;
  }

  /** What the server told of itself, last. */
  get welcome(): Welcome | null {
    return this.#link.welcome;
  }

  call<A, R>(method: Method<A, R>, args: A, signal?: AbortSignal, extras?: CallExtras): Promise<R> {
    if (this.#closed !== null) return Promise.reject(this.#closed);
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    return new Promise<unknown>((resolve, reject) => {
      const place = this.#table.take(method as Method<unknown, unknown>);
      if (place === null) return reject(overloaded());
      place.args = args;
      if (this.#trace !== undefined) place.trace = this.#trace();
      place.resolve = resolve;
      place.reject = reject;
      const { waitMs = 0, withinMs } = extras ?? {};
      if (waitMs !== Infinity) {
        place.since = this.#pulse.tick;
        const ticks = withinMs === undefined ? this.#callTicks : this.#pulse.ticksOf(withinMs);
        place.ticks = ticks + this.#pulse.ticksOf(waitMs);
      }
      if (extras?.undo !== undefined) {
        place.abortWaits = true;
        place.undo = extras.undo;
      }
      if (signal !== undefined) this.#listen(place, signal);
      this.#submit(place);
    }) as Promise<R>;
  }

  /** A call that lasts across transports. @returns ends it */
  subscribe<A, R>(method: Method<A, R>, sink: Sink): () => void {
    const closed = this.#closed;
    const place = closed === null ? this.#table.take(method as Method<unknown, unknown>) : null;
    if (place === null) {
      soon(() => sink.failed(closed ?? overloaded()));
      return () => {};
    }
    place.sink = sink;
    this.#submit(place);
    return () => {
      if (place.sink === sink) this.#leave(place);
    };
  }

  /** Ends every call and the transport. */
  close(): void {
    this.#fail(new WaymarkError('unavailable', 'the connection was closed'));
  }

  #submit(place: Pending): void {
    if (this.#canSend() && this.#table.queue.length === 0) this.#write(place);
    else this.#table.enqueue(place);
  }

  #canSend(): boolean {
    const link = this.#link;
    if (!link.ready || link.leaving) return false;
    return (
      this.#table.sent < (link.welcome as Welcome).callsMax && link.buffered < bufferedBytesMax
    );
  }

  #write(place: Pending): void {
    const method = place.method as Method<unknown, unknown>;
    const { writer } = this.#link;
    if (place.trace !== null && this.#link.welcome?.traces === true)
      writeTrace(writer, place.trace);
    const mark = writer.begin();
    try {
      writer.byte(method.verb);
      writer.uint(place.id);
      method.writeArgs(writer, place.sink === null ? place.args : place.sink.args());
    } catch (error) {
      writer.rollback(mark);
      const { reject, sink } = place;
      this.#table.give(place);
      if (sink !== null) sink.failed(error);
      else reject?.(error);
      return;
    }
    writer.end();
    this.#table.wrote(place);
    this.#link.flushSoon();
  }

  #drainQueue(): void {
    const { queue } = this.#table;
    if (queue.length === 0 || !this.#canSend()) return;
    this.#table.queue = [];
    let next = 0;
    while (next < queue.length && this.#canSend()) {
      const place = queue[next++] as Pending;
      if (place.state === 'queued') this.#write(place);
    }
    if (next < queue.length) this.#table.queue = queue.slice(next).concat(this.#table.queue);
  }

  #listen(place: Pending, signal: AbortSignal): void {
    const abort = (): void => {
      place.detach();
      this.#abort(place, signal.reason);
    };
    place.signal = signal;
    place.onAbort = abort;
    signal.addEventListener('abort', abort, { once: true });
  }

  #abort(place: Pending, reason: unknown): void {
    const { reject, resolve, undo, method } = place;
    if (place.state === 'queued' && !place.resent) {
      this.#leave(place);
      return reject?.(reason);
    }
    if (place.abortWaits && place.state === 'sent' && resolve !== null && reject !== null) {
      this.#link.signal(messages.cancel, place.id);
      place.givenUp = true;
      place.since = this.#pulse.tick;
      place.ticks = this.#callTicks;
      place.resolve = (result) => {
        if (result === null || undo === null) return reject(reason);
        void undo(result).finally(() => reject(reason));
      };
      place.reject = () => reject(reason);
      return;
    }
    this.#leave(place);
    void undo?.(undefined);
    const certain = method?.whenBroken === 'retry';
    reject?.(certain ? reason : uncertain('it was given up after it was sent', reason));
  }

  /** Nobody listens any more; the place is free once the server has answered. */
  #leave(place: Pending): void {
    place.detach();
    place.resolve = null;
    place.reject = null;
    place.sink = null;
    if (place.state === 'queued') return this.#table.dequeue(place);
    if (place.state !== 'sent') return;
    this.#link.signal(messages.cancel, place.id);
    place.state = 'left';
  }

  /** Told to go away: once all is answered but what waits for long, a new transport is made. */
  #leaveIfDone(): void {
    const { ready, leaving } = this.#link;
    if (ready && leaving && !this.#table.busy) this.#link.broke(undefined);
  }

  #fail(reason: unknown): void {
    if (this.#closed !== null) return;
    const known = reason instanceof WaymarkError;
    const text = 'the connection was closed';
    const error = known ? reason : new WaymarkError('unavailable', text, {}, reason);
    this.#closed = error;
    this.#pulse.stop();
    this.#link.close();
    this.#opening?.reject(reason);
    this.#table.fail(error);
    this.#told?.();
  }

  #expire(tick: number): void {
    for (const place of this.#table.late(tick)) {
      const { reject, method, state, ticks } = place;
      const maybe = state === 'sent' && method?.whenBroken === 'uncertain';
      place.since = -1;
      this.#leave(place);
      const text = `no answer within ${this.#pulse.msOf(ticks)} ms`;
      reject?.(maybe ? uncertain(text) : new WaymarkError('unavailable', text));
    }
  }
}
