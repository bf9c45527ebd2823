import type { Clock, Random } from '../../core/clock.js';
import { WaymarkError } from '../../core/errors.js';
import { systemClock, systemRandom } from '../../core/system-clock.js';
import { readError } from '../../wire/errors.js';
import { FrameSplitter, messageBytesMax, protocolVersion } from '../../wire/frames.js';
import { readBatch } from '../../wire/batch-codec.js';
import { readWelcome, type Welcome, writeHello } from '../../wire/hello.js';
import { messages } from '../../wire/messages.js';
import type { Method } from '../../wire/method.js';
import { malformed, Reader } from '../../wire/reader.js';
import { Writer } from '../../wire/writer.js';
import { Pending, type Sink } from './pending.js';
import { Pulse } from './pulse.js';
import { openTransport, type Transport } from './transport.js';

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
}

/** How a call that lasts is made: see `Connection.call`. */
export interface CallExtras {
  /** No end but its own: a place in a queue. */
  readonly noDeadline?: boolean;
  /** On abort the server is asked to let go first, and what it gave meanwhile is given back by this. */
  readonly undo?: (result: unknown) => void;
}

const backoffMsMin = 20;
const backoffMsMax = 2_000;
/** With more than this buffered, calls wait their turn. */
const bufferedBytesMax = 1_048_576;
const queuedMax = 100_000;

/**
 * One client's connection, which outlives its transports: calls are matched with answers by their place in a table, all
 * messages of a turn leave in one write, and when the transport breaks a new one is made. What was under way then ends as
 * its method says: repeated where that is safe, `uncertain` where it may have happened; what was never sent waits.
 */
export class Connection {
  readonly #url: string;
  readonly #options: ConnectOptions;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #callTimeoutMs: number;
  readonly #places: Pending[] = [];
  readonly #free: Pending[] = [];
  #queue: Pending[] = [];
  readonly #parts = new Map<number, { pieces: Buffer[]; bytes: number }>();
  #writer = new Writer();
  #transport: Transport | null = null;
  /** Counts transports, so that events of an old one are told apart. */
  #generation = 0;
  #ready = false;
  #leaving = false;
  #flushing = false;
  #sent = 0;
  #tries = 0;
  readonly #pulse: Pulse;
  #stopWaiting: () => void = () => {};
  #closed: WaymarkError | null = null;
  #opening: { resolve: () => void; reject: (error: unknown) => void } | null = null;
  welcome: Welcome | null = null;

  constructor(url: string, options: ConnectOptions) {
    this.#url = url;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? systemRandom;
    this.#callTimeoutMs = options.callTimeoutMs ?? 30_000;
    this.#pulse = new Pulse(this.#clock, this.#callTimeoutMs, {
      expire: (tick, ticks) => this.#expire(tick, ticks),
      ping: () => {
        if (this.#ready) this.#signalServer(messages.ping);
      },
      dead: (silentMs) => {
        if (this.#transport !== null) this.#broke(new Error(`nothing heard for ${silentMs} ms`));
      },
    });
  }

  /** @throws {WaymarkError} `unavailable` when no server answers in time, or its refusal */
  static async open(url: string, options: ConnectOptions = {}): Promise<Connection> {
    options.signal?.throwIfAborted();
    const connection = new Connection(url, options);
    const abort = (): void => connection.#fail(options.signal?.reason);
    const stop = connection.#clock.after(
      options.connectTimeoutMs ?? 10_000,
      () =>
        connection.#fail(
          new WaymarkError(
            'unavailable',
            `no server answered at ${url}: start one, or name another`,
          ),
        ),
      true,
    );
    options.signal?.addEventListener('abort', abort, { once: true });
    try {
      await new Promise<void>((resolve, reject) => {
        connection.#opening = { resolve, reject };
        connection.#connect();
      });
    } catch (error) {
      connection.close();
      throw error;
    } finally {
      stop();
      options.signal?.removeEventListener('abort', abort);
    }
    return connection;
  }

  get clock(): Clock {
    return this.#clock;
  }

  call<A, R>(method: Method<A, R>, args: A, signal?: AbortSignal, extras?: CallExtras): Promise<R> {
    if (this.#closed !== null) return Promise.reject(this.#closed);
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    return new Promise<unknown>((resolve, reject) => {
      const place = this.#take(method as Method<unknown, unknown>);
      if (place === null) return reject(overloaded());
      place.args = args;
      place.resolve = resolve;
      place.reject = reject;
      if (extras?.noDeadline !== true) place.since = this.#pulse.tick;
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
    const place = this.#closed === null ? this.#take(method as Method<unknown, unknown>) : null;
    if (place === null) {
      const error = this.#closed ?? overloaded();
      queueMicrotask(() => sink.failed(error));
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

  #take(method: Method<unknown, unknown>): Pending | null {
    let place = this.#free.pop();
    if (place === undefined) {
      if (this.#places.length >= queuedMax) return null;
      place = new Pending(this.#places.length + 1);
      this.#places.push(place);
    }
    place.method = method;
    return place;
  }

  #give(place: Pending): void {
    if (place.state === 'sent' || place.state === 'left') this.#sent--;
    place.clear();
    this.#free.push(place);
  }

  #submit(place: Pending): void {
    if (this.#canSend() && this.#queue.length === 0) return this.#write(place);
    place.state = 'queued';
    this.#queue.push(place);
  }

  #canSend(): boolean {
    return (
      this.#ready &&
      !this.#leaving &&
      this.#sent < (this.welcome as Welcome).callsMax &&
      this.#writer.pending < bufferedBytesMax &&
      (this.#transport as Transport).buffered < bufferedBytesMax
    );
  }

  #write(place: Pending): void {
    const method = place.method as Method<unknown, unknown>;
    const writer = this.#writer;
    const mark = writer.begin();
    try {
      writer.byte(method.verb);
      writer.uint(place.id);
      method.writeArgs(writer, place.sink === null ? place.args : place.sink.args());
    } catch (error) {
      writer.rollback(mark);
      const { reject, sink } = place;
      this.#give(place);
      if (sink !== null) sink.failed(error);
      else reject?.(error);
      return;
    }
    writer.end();
    place.state = 'sent';
    this.#sent++;
    this.#flushSoon();
  }

  /** Everything written in this turn leaves together, after the microtasks that write more. */
  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    process.nextTick(this.#flush);
  }

  readonly #flush = (): void => {
    this.#flushing = false;
    if (this.#transport === null) return;
    const bytes = this.#writer.take();
    if (bytes !== null) this.#transport.send(bytes);
    if (this.#queue.length > 0) this.#drainQueue();
  };

  #drainQueue(): void {
    if (!this.#canSend()) return;
    const queue = this.#queue;
    this.#queue = [];
    let next = 0;
    while (next < queue.length && this.#canSend()) {
      const place = queue[next++] as Pending;
      if (place.state === 'queued') this.#write(place);
    }
    this.#queue = next < queue.length ? queue.slice(next).concat(this.#queue) : this.#queue;
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
    const { reject, resolve, undo } = place;
    if (place.state === 'queued' && !place.resent) {
      this.#leave(place);
      return reject?.(reason);
    }
    if (place.abortWaits && resolve !== null && reject !== null && this.#ready) {
      this.#cancel(place);
      place.givenUp = true;
      place.since = this.#pulse.tick;
      place.resolve = (result) => {
        if (result !== null) undo?.(result);
        reject(reason);
      };
      place.reject = () => reject(reason);
      return;
    }
    const certain = (place.method as Method<unknown, unknown>).whenBroken === 'retry';
    this.#leave(place);
    undo?.(undefined);
    reject?.(certain ? reason : uncertain('it was given up after it was sent', reason));
  }

  /** Nobody listens any more; the place is free once the server has answered. */
  #leave(place: Pending): void {
    place.detach();
    place.resolve = null;
    place.reject = null;
    place.sink = null;
    if (place.state === 'sent') {
      this.#cancel(place);
      place.state = 'left';
      return;
    }
    if (place.state !== 'queued') return;
    this.#queue = this.#queue.filter((other) => other !== place);
    this.#give(place);
  }

  #cancel(place: Pending): void {
    if (place.state !== 'sent' || !this.#ready) return;
    this.#writer.begin();
    this.#writer.byte(messages.cancel);
    this.#writer.uint(place.id);
    this.#writer.end();
    this.#flushSoon();
  }

  #connect(): void {
    if (this.#closed !== null) return;
    const generation = ++this.#generation;
    const current = (): boolean => generation === this.#generation;
    const splitter = new FrameSplitter((chunk, start, end) => {
      if (current()) this.#frame(new Reader(chunk, start, end));
    });
    this.#pulse.heard();
    const events = {
      opened: () => {
        if (current()) this.#hello();
      },
      data: (chunk: Buffer) => {
        if (!current()) return;
        this.#pulse.heard();
        try {
          splitter.push(chunk);
        } catch (error) {
          this.#broke(error);
        }
        if (this.#queue.length > 0) this.#drainQueue();
        this.#leaveIfDone();
      },
      drained: () => {
        if (current()) this.#drainQueue();
      },
      closed: (cause: Error | undefined) => {
        if (current()) this.#broke(cause);
      },
    };
    openTransport(this.#url, events).then(
      (transport) => {
        if (current() && this.#closed === null) this.#transport = transport;
        else transport.destroy();
      },
      (error: unknown) => this.#fail(error),
    );
  }

  #hello(): void {
    this.#writer = new Writer();
    this.#writer.begin();
    this.#writer.byte(messages.hello);
    writeHello(this.#writer, {
      versionMin: protocolVersion.min,
      versionMax: protocolVersion.max,
      client: this.#options.client ?? 'waymark',
      token: this.#options.token,
    });
    this.#writer.end();
    this.#flushSoon();
  }

  #frame(reader: Reader): void {
    while (!reader.done) this.#message(reader);
  }

  #message(r: Reader): void {
    const type = r.byte();
    switch (type) {
      case messages.ok: {
        const place = this.#find(r.uint());
        const result = (place.method as Method<unknown, unknown>).readResult(r);
        const { resolve, sink } = place;
        if (place.state === 'left') place.undo?.(result);
        this.#give(place);
        if (sink !== null) sink.answer(result);
        else resolve?.(result);
        return;
      }
      case messages.batch: {
        const place = this.#find(r.uint());
        if (place.sink !== null) return place.sink.batch(r);
        return skipBatch(r);
      }
      case messages.error: {
        const id = r.uint();
        const error = readError(r);
        if (id === 0) return this.#refused(error);
        const { reject, sink } = this.#settle(id);
        if (sink !== null) sink.failed(error);
        else reject?.(error);
        return;
      }
      case messages.cancelled: {
        const { reject, sink } = this.#settle(r.uint());
        const error = new WaymarkError('unavailable', 'the call was cancelled');
        if (sink !== null) sink.failed(error);
        else reject?.(error);
        return;
      }
      case messages.part:
        return this.#part(r);
      case messages.welcome:
        return this.#welcomed(readWelcome(r));
      case messages.pong:
        return;
      case messages.ping:
        this.#signalServer(messages.pong);
        return;
      case messages.goaway:
        this.#leaving = true;
        return;
      default:
        throw malformed(`a message of the unknown type ${type}`);
    }
  }

  #find(id: number): Pending {
    const place = this.#places[id - 1];
    if (place === undefined || (place.state !== 'sent' && place.state !== 'left')) {
      throw malformed(`an answer to ${id}, which nobody asked`);
    }
    return place;
  }

  #settle(id: number): { reject: Pending['reject']; sink: Sink | null } {
    const place = this.#find(id);
    const { reject, sink } = place;
    this.#give(place);
    return { reject, sink };
  }

  #part(r: Reader): void {
    const id = r.uint();
    const last = r.bool();
    const piece = r.blob();
    const held = this.#parts.get(id) ?? { pieces: [], bytes: 0 };
    held.pieces.push(Buffer.from(piece));
    held.bytes += piece.length;
    if (held.bytes > messageBytesMax) throw malformed('a message of too many parts');
    if (!last) return void this.#parts.set(id, held);
    this.#parts.delete(id);
    this.#frame(new Reader(Buffer.concat(held.pieces)));
  }

  #welcomed(welcome: Welcome): void {
    this.welcome = welcome;
    this.#ready = true;
    this.#leaving = false;
    this.#tries = 0;
    const opening = this.#opening;
    this.#opening = null;
    opening?.resolve();
    this.#drainQueue();
  }

  /** The server said why it will not talk: for good when it was the handshake, else the transport ends. */
  #refused(error: WaymarkError): void {
    if (!this.#ready && this.#opening !== null) return this.#fail(error);
    this.#broke(error);
  }

  /** Told to go away: once all is answered but what waits for long, a new transport is made. */
  #leaveIfDone(): void {
    if (!this.#leaving || !this.#ready) return;
    for (const place of this.#places) {
      if (place.state === 'sent' && place.sink === null && place.since >= 0) return;
    }
    this.#broke(undefined);
  }

  #broke(cause: unknown): void {
    if (this.#closed !== null) return;
    this.#generation++;
    this.#transport?.destroy();
    this.#transport = null;
    this.#ready = false;
    this.#leaving = false;
    this.#parts.clear();
    this.#writer = new Writer();
    this.#requeue(cause);
    const span = Math.min(backoffMsMax, backoffMsMin * 2 ** this.#tries++);
    // The process stays for it: it would wait for an answer else, and end.
    const again = (): void => this.#connect();
    this.#stopWaiting = this.#clock.after(span * this.#random.next(), again, true);
  }

  #requeue(cause: unknown): void {
    const again: Pending[] = [];
    for (const place of this.#places) {
      const { reject } = place;
      if (place.state === 'left') {
        place.undo?.(undefined);
        this.#give(place);
      }
      if (place.state !== 'sent') continue;
      if (place.givenUp) {
        place.undo?.(undefined);
        this.#give(place);
        reject?.(undefined);
        continue;
      }
      if (place.sink !== null || place.method?.whenBroken === 'retry') {
        this.#sent--;
        place.state = 'queued';
        place.resent = true;
        place.sink?.broke?.();
        again.push(place);
      } else {
        this.#give(place);
        reject?.(uncertain('the connection broke before the answer came', cause));
      }
    }
    this.#queue = again.concat(this.#queue);
  }

  #fail(reason: unknown): void {
    if (this.#closed !== null) return;
    const error =
      reason instanceof WaymarkError
        ? reason
        : new WaymarkError('unavailable', 'the connection was closed', {}, reason);
    this.#closed = error;
    this.#generation++;
    this.#pulse.stop();
    this.#stopWaiting();
    const last = this.#ready ? this.#writer.take() : null;
    if (last !== null) this.#transport?.send(last);
    this.#ready = false;
    this.#transport?.end();
    this.#transport = null;
    this.#opening?.reject(reason);
    this.#opening = null;
    this.#queue = [];
    for (const place of this.#places) {
      const { state, reject, sink, method } = place;
      if (state === 'free') continue;
      this.#give(place);
      const maybe = (state === 'sent' || place.resent) && method?.whenBroken === 'uncertain';
      if (sink !== null) sink.failed(error);
      else reject?.(maybe ? uncertain('the connection was closed', error) : error);
    }
  }

  #signalServer(type: number): void {
    this.#writer.begin();
    this.#writer.byte(type);
    this.#writer.end();
    this.#flushSoon();
  }

  #expire(tick: number, ticks: number): void {
    for (const place of this.#places) {
      if (place.since < 0 || tick - place.since <= ticks) continue;
      if (place.state !== 'sent' && place.state !== 'queued') continue;
      const { reject, method, resent, state } = place;
      const maybe = (state === 'sent' || resent) && method?.whenBroken === 'uncertain';
      place.since = -1;
      this.#leave(place);
      const text = `no answer within ${this.#callTimeoutMs} ms`;
      reject?.(maybe ? uncertain(text) : new WaymarkError('unavailable', text));
    }
  }
}

function uncertain(why: string, cause?: unknown): WaymarkError {
  return new WaymarkError('uncertain', `${why}: it may have been applied or not`, {}, cause);
}

function overloaded(): WaymarkError {
  return new WaymarkError('overloaded', `more than ${queuedMax} calls wait for the server`);
}

function skipBatch(r: Reader): void {
  readBatch(r);
}
