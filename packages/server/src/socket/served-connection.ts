import type { Batch, Clock, Engine, Host } from 'waymark/engine';
import { WaymarkError } from 'waymark/engine';
import {
  commonVersion,
  FrameSplitter,
  type Hello,
  malformed,
  messages,
  preface,
  Reader,
  readHello,
  writeError,
  Writer,
  writeWelcome,
} from 'waymark/wire';
import type { ChangeCache } from './change-cache.js';
import {
  callTable,
  type ListenCall,
  type PlainCall,
  type ServedCall,
  type WatchCall,
} from './calls.js';
import type { ServedStream } from './stream.js';

export interface SocketLimits {
  /** Calls of one connection that wait for an answer, watches apart. Default 10 000. */
  readonly callsMax: number;
  /** Watches, and holds listened to, of one connection. Default 10 000. */
  readonly watchesMax: number;
  /** With so many bytes unsent nothing is read and no watch is pulled. Default 1 MiB. */
  readonly bufferedBytesMax: number;
  readonly helloMsMax: number;
  readonly idleMsMax: number;
}

export const defaultSocketLimits: SocketLimits = {
  callsMax: 10_000,
  watchesMax: 10_000,
  bufferedBytesMax: 1_048_576,
  helloMsMax: 10_000,
  idleMsMax: 30_000,
};

export interface ServeOptions {
  readonly clock: Clock;
  /** Namespaces, guard and recipes. Absent: those verbs are refused. */
  readonly host?: Host | undefined;
  /** The raw engine, for those with the engine right. Absent: `denied`. */
  readonly engine?: Engine | undefined;
  /** Name and version, told to the client. */
  readonly server?: string | undefined;
  readonly limits?: Partial<SocketLimits> | undefined;
  /** Shared by the connections of one server. */
  readonly changes: ChangeCache;
  /** Throws to refuse a client (`unauthenticated`, `denied`). */
  readonly admit?: ((hello: Hello) => void | Promise<void>) | undefined;
}

/**
 * So many messages are handled before their answers leave and others get a turn. A client with many calls under way
 * then works on the first answers while the rest is handled, where both would wait for each other in lock step.
 */
const sliceMessages = 64;
const heldBytesMax = 262_144;

/** Something that lasts beyond its message: what a cancel ends. */
interface Ongoing {
  readonly stop: () => void;
}

/**
 * One client. Requests of a chunk are started in their order, answers are gathered and leave in one write when the microtasks they
 * came from are done. While the client reads slower than it asks, nothing more is read from it, answers wait
 * as values and watches stand still: they are cursors over history, so that costs no memory.
 */
export class ServedConnection {
  readonly #options: ServeOptions;
  readonly #limits: SocketLimits;
  readonly #table: (ServedCall | undefined)[];
  readonly #splitter = new FrameSplitter((chunk, start, end) => this.#frame(chunk, start, end));
  readonly #ongoing = new Map<number, Ongoing>();
  readonly #running: Running[] = [];
  readonly #writer = new Writer();
  readonly #closed: Promise<void>;
  #resolveClosed: () => void = () => {};
  #stream: ServedStream | null = null;
  #prefaceLeft: number;
  #greeted: 'no' | 'admitting' | 'yes' = 'no';
  #flushing = false;
  /** Frames that wait for their slice. */
  #held: Reader[] = [];
  #heldBytes = 0;
  #slice = sliceMessages;
  #sliceScheduled = false;
  #congested = false;
  #parked: (() => void)[] = [];
  #calls = 0;
  /** Of the calls, those that may wait for long. */
  #waiting = 0;
  #watches = 0;
  #ended = false;
  #heard = false;
  #draining = false;
  #stopTimer: () => void = () => {};

  constructor(options: ServeOptions, { prefaced }: { prefaced: boolean }) {
    this.#options = options;
    this.#limits = { ...defaultSocketLimits, ...options.limits };
    this.#table = callTable(options.host, options.engine);
    this.#prefaceLeft = prefaced ? preface.length : 0;
    this.#closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  /** Resolves when the connection is gone. */
  get closed(): Promise<void> {
    return this.#closed;
  }

  start(stream: ServedStream): void {
    this.#stream = stream;
    this.#stopTimer = this.#options.clock.after(this.#limits.helloMsMax, () => {
      if (this.#greeted !== 'yes') return this.destroy();
      this.#watchIdle();
    });
  }

  /**
   * Asks the client to connect elsewhere, answers what is under way and ends. Places in queues are left to their leases: the
   * client asks for them again.
   */
  async drain(graceMs: number): Promise<void> {
    if (this.#ended) return;
    this.#draining = true;
    this.#message(messages.goaway);
    const stop = this.#options.clock.after(graceMs, () => this.destroy());
    this.#endIfDrained();
    await this.#closed;
    stop();
  }

  destroy(): void {
    this.#stream?.destroy();
    this.gone();
  }

  /** The stream has closed. */
  gone(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#stopTimer();
    for (const { stop } of this.#ongoing.values()) stop();
    this.#ongoing.clear();
    this.#held = [];
    const parked = this.#parked;
    this.#parked = [];
    for (const resume of parked) resume();
    this.#resolveClosed();
  }

  data(chunk: Buffer): void {
    if (this.#ended) return;
    this.#heard = true;
    if (!this.#sliceScheduled) this.#slice = sliceMessages;
    try {
      const rest = this.#prefaceLeft > 0 ? this.#skipPreface(chunk) : chunk;
      if (rest.length > 0) this.#splitter.push(rest);
    } catch (error) {
      this.#refuse(error);
    }
  }

  drained(): void {
    if (!this.#congested || this.#ended) return;
    this.#congested = false;
    const parked = this.#parked;
    this.#parked = [];
    for (const resume of parked) resume();
    if (this.#congested) return;
    if (this.#held.length > 0) this.#scheduleSlice();
    if (this.#heldBytes <= heldBytesMax) this.#stream?.resume();
  }

  #skipPreface(chunk: Buffer): Buffer {
    const length = Math.min(this.#prefaceLeft, chunk.length);
    const at = preface.length - this.#prefaceLeft;
    for (let i = 0; i < length; i++) {
      if (chunk[i] !== preface[at + i]) throw malformed('it does not begin as this protocol does');
    }
    this.#prefaceLeft -= length;
    return chunk.subarray(length);
  }

  #frame(chunk: Buffer, start: number, end: number): void {
    const reader = new Reader(chunk, start, end);
    if (this.#held.length === 0 && this.#handle(reader)) return;
    this.#held.push(reader);
    this.#heldBytes += end - start;
    if (this.#heldBytes > heldBytesMax) this.#stream?.pause();
    this.#scheduleSlice();
  }

  /** @returns false when the slice ended first */
  #handle(reader: Reader): boolean {
    while (!reader.done) {
      if (this.#ended) return true;
      if (this.#slice <= 0 || this.#congested) return false;
      this.#slice--;
      this.#read(reader);
    }
    return true;
  }

  #scheduleSlice(): void {
    if (this.#sliceScheduled) return;
    this.#sliceScheduled = true;
    this.#options.clock.nextTurn(this.#nextSlice);
  }

  readonly #nextSlice = (): void => {
    this.#sliceScheduled = false;
    this.#slice = sliceMessages;
    if (this.#congested || this.#ended) return;
    try {
      let done = 0;
      while (done < this.#held.length && this.#handle(this.#held[done] as Reader)) done++;
      this.#held = this.#held.slice(done);
    } catch (error) {
      return this.#refuse(error);
    }
    if (this.#held.length > 0) return this.#scheduleSlice();
    if (this.#heldBytes > heldBytesMax && !this.#congested) this.#stream?.resume();
    this.#heldBytes = 0;
  };

  #read(r: Reader): void {
    const type = r.byte();
    if (type >= 0x20) return this.#request(type, r);
    switch (type) {
      case messages.hello:
        return this.#hello(readHello(r));
      case messages.cancel:
        return this.#ongoing.get(r.uint())?.stop();
      case messages.ping:
        return this.#message(messages.pong);
      case messages.pong:
        return;
      default:
        throw malformed(`a message of the unknown type ${type}`);
    }
  }

  #hello(hello: Hello): void {
    if (this.#greeted !== 'no') throw malformed('a second hello');
    this.#greeted = 'admitting';
    this.#welcome(hello).catch((error: unknown) => this.#refuse(error));
  }

  async #welcome(hello: Hello): Promise<void> {
    const { admit, host, engine } = this.#options;
    const version = commonVersion(hello);
    await admit?.(hello);
    const status = await (host ?? engine)?.status();
    if (this.#ended) return;
    const writer = this.#writer;
    const mark = writer.begin();
    writer.byte(messages.welcome);
    writeWelcome(writer, {
      version,
      server: this.#options.server ?? 'waymark',
      engine: status?.engine ?? '',
      identity: status?.identity ?? '',
      raw: engine !== undefined,
      callsMax: this.#limits.callsMax,
      watchesMax: this.#limits.watchesMax,
      idleMsMax: this.#limits.idleMsMax,
    });
    writer.endAnswer(mark, 0);
    this.#greeted = 'yes';
    this.#flushSoon();
  }

  #request(verb: number, r: Reader): void {
    if (this.#greeted !== 'yes') throw malformed('a call before the handshake');
    const call = this.#table[verb];
    if (call === undefined) throw malformed(`there is no verb ${verb}`);
    const id = r.uint();
    if (id === 0) throw malformed('a call has an id of its own');
    const args = call.method.readArgs(r);
    if (this.#draining && call.kind === 'plain' && call.waits)
      return this.#answerError(id, goingAway());
    if (call.kind === 'plain') return this.#run(call, id, args);
    if (this.#ongoing.has(id)) throw malformed(`the id ${id} is in use`);
    if (this.#watches >= this.#limits.watchesMax) {
      return this.#answerError(id, overloaded('watchesMax', this.#limits.watchesMax));
    }
    this.#watches++;
    if (call.kind === 'watch') void this.#watch(call, id, args);
    else this.#listen(call, id, args);
  }

  #run(call: PlainCall, id: number, args: unknown): void {
    if (this.#calls >= this.#limits.callsMax) {
      return this.#answerError(id, overloaded('callsMax', this.#limits.callsMax));
    }
    this.#calls++;
    const running = this.#running.pop() ?? new Running(this.#finished);
    running.id = id;
    running.call = call;
    if (!call.waits) return void call.run(args).then(running.ok, running.failed);
    if (this.#ongoing.has(id)) throw malformed(`the id ${id} is in use`);
    const controller = new AbortController();
    // A client that vanished keeps its place in a queue as long as its lease: only its own cancel gives it up.
    this.#ongoing.set(id, {
      stop: () => {
        if (!this.#ended) controller.abort(cancelled);
      },
    });
    this.#waiting++;
    call.run(args, { signal: controller.signal }).then(running.ok, running.failed);
  }

  readonly #finished = (running: Running): void => {
    const { call } = running;
    this.#calls--;
    if (call?.waits === true) {
      this.#waiting--;
      this.#ongoing.delete(running.id);
    }
    if (this.#ended) return;
    if (this.#congested) {
      this.#parked.push(() => this.#answer(running));
      return;
    }
    this.#answer(running);
  };

  #answer(running: Running): void {
    const { id, call, error, value } = running;
    if (error !== null) this.#answerError(id, error.error);
    else this.#answerOk((call as PlainCall).method, id, value);
    running.clear();
    if (this.#running.length < 1_024) this.#running.push(running);
    if (this.#draining) this.#endIfDrained();
  }

  #answerOk(method: PlainCall['method'], id: number, value: unknown): void {
    if (this.#ended) return;
    const writer = this.#writer;
    const mark = writer.begin();
    try {
      writer.byte(messages.ok);
      writer.uint(id);
      method.writeResult(writer, value);
    } catch (error) {
      writer.rollback(mark);
      return this.#answerError(id, error);
    }
    writer.endAnswer(mark, id);
    this.#flushSoon();
  }

  #answerError(id: number, error: unknown): void {
    if (this.#ended) return;
    const writer = this.#writer;
    const mark = writer.begin();
    writer.byte(error === cancelled ? messages.cancelled : messages.error);
    writer.uint(id);
    if (error !== cancelled) writeError(writer, error);
    writer.endAnswer(mark, id);
    this.#flushSoon();
  }

  async #watch(call: WatchCall, id: number, args: unknown): Promise<void> {
    const controller = new AbortController();
    this.#ongoing.set(id, { stop: () => controller.abort(cancelled) });
    try {
      for await (const batch of call.open(args, { signal: controller.signal })) {
        this.#batch(id, batch);
        while (this.#congested && !this.#ended) {
          await new Promise<void>((resolve) => this.#parked.push(resolve));
        }
        controller.signal.throwIfAborted();
      }
      this.#answerError(id, cancelled);
    } catch (error) {
      this.#answerError(id, error);
    } finally {
      this.#watches--;
      this.#ongoing.delete(id);
    }
  }

  #batch(id: number, batch: Batch): void {
    if (this.#ended) return;
    const writer = this.#writer;
    const mark = writer.begin();
    writer.byte(messages.batch);
    writer.uint(id);
    this.#options.changes.writeBatch(writer, batch);
    writer.endAnswer(mark, id);
    this.#flushSoon();
  }

  #listen(call: ListenCall, id: number, args: unknown): void {
    let over = false;
    let stop: () => void = () => {};
    const end = (answer: () => void): void => {
      if (over) return;
      over = true;
      this.#watches--;
      this.#ongoing.delete(id);
      stop();
      answer();
    };
    this.#ongoing.set(id, { stop: () => end(() => this.#answerError(id, cancelled)) });
    try {
      stop = call.listen(args, (result) => end(() => this.#answerOk(call.method, id, result)));
    } catch (error) {
      end(() => this.#answerError(id, error));
    }
    if (over) stop();
  }

  #message(type: number): void {
    this.#writer.begin();
    this.#writer.byte(type);
    this.#writer.end();
    this.#flushSoon();
  }

  /** After the microtasks that write more: all answers of a chunk leave together. */
  #flushSoon(): void {
    if (this.#writer.pending > this.#limits.bufferedBytesMax) this.#stopReading();
    if (this.#flushing) return;
    this.#flushing = true;
    process.nextTick(this.#flush);
  }

  readonly #flush = (): void => {
    this.#flushing = false;
    const stream = this.#stream;
    if (stream === null || this.#ended) return;
    const bytes = this.#writer.take();
    if (bytes !== null) stream.send(bytes);
    if (stream.buffered > this.#limits.bufferedBytesMax) this.#stopReading();
    else if (this.#congested) this.drained();
  };

  #stopReading(): void {
    if (this.#congested) return;
    this.#congested = true;
    this.#stream?.pause();
  }

  /** Tells what was wrong, and ends. */
  #refuse(error: unknown): void {
    if (this.#ended) return;
    this.#answerError(0, error);
    const bytes = this.#writer.take();
    if (bytes !== null) this.#stream?.send(bytes);
    this.#stream?.end();
    this.gone();
  }

  #endIfDrained(): void {
    if (this.#calls > this.#waiting || this.#ended) return;
    const bytes = this.#writer.take();
    if (bytes !== null) this.#stream?.send(bytes);
    this.#stream?.end();
    this.gone();
  }

  #watchIdle(): void {
    this.#heard = false;
    this.#stopTimer = this.#options.clock.after(this.#limits.idleMsMax, () => {
      if (!this.#heard && !this.#congested) return this.destroy();
      this.#watchIdle();
    });
  }
}

/** The reason of an abort that the client asked for; never leaves this file. */
const cancelled = new WaymarkError('unavailable', 'the call was cancelled');

/** A call under way: made once and used again, so that a call costs no closures. */
class Running {
  id = 0;
  call: PlainCall | null = null;
  value: unknown = undefined;
  error: { readonly error: unknown } | null = null;
  readonly ok: (value: unknown) => void;
  readonly failed: (error: unknown) => void;

  constructor(finished: (running: Running) => void) {
    this.ok = (value) => {
      this.value = value;
      finished(this);
    };
    this.failed = (error) => {
      this.error = { error };
      finished(this);
    };
  }

  clear(): void {
    this.call = null;
    this.value = undefined;
    this.error = null;
  }
}

function overloaded(limit: string, max: number): WaymarkError {
  return new WaymarkError('overloaded', `more than ${max} at once on one connection (${limit})`, {
    limit,
    max,
  });
}

function goingAway(): WaymarkError {
  return new WaymarkError('unavailable', 'the server is closing: ask again on a new connection');
}
