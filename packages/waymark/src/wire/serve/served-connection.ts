import { isWaymarkError } from '../../core/errors.js';
import { commonVersion, type Hello, readHello } from '../hello.js';
import { malformed, type Reader } from '../reader.js';
import { messages } from '../messages.js';
import { readTrace } from '../trace-codec.js';
import { Intake } from './intake.js';
import { Outlet } from './outlet.js';
import { cancelled, goingAway, overloaded } from './refusals.js';
import { type CallEnd, Running } from './running.js';
import type { CallTable, ListenCall, PlainCall, WatchCall } from './served-calls.js';
import { ServedWatch } from './served-watch.js';
import { defaultSocketLimits, type ServeOptions, type SocketLimits } from './serve-options.js';
import type { ServedStream } from './stream.js';

/**
 * One client. Requests are started in their order, a slice at a time, and their answers leave together. While the client reads
 * slower than it asks, nothing more is read from it, answers wait as values and watches stand still: they are cursors
 * over history, so that costs no memory.
 */
export class ServedConnection {
  readonly #options: ServeOptions;
  #table: CallTable;
  readonly #limits: SocketLimits;
  readonly #intake: Intake;
  readonly #outlet: Outlet;
  /** How to end what lasts beyond its message: a cancel does, and the end of the connection. */
  readonly #ongoing = new Map<number, () => void>();
  readonly #idle: Running[] = [];
  /** Resolves when the connection is gone. */
  readonly closed: Promise<void>;
  #resolveClosed: () => void = () => {};
  #stream: ServedStream | null = null;
  #greeted: 'no' | 'admitting' | 'yes' = 'no';
  #calls = 0;
  /** Of the calls, those that may wait for long. */
  #waiting = 0;
  #watches = 0;
  #ended = false;
  #heard = false;
  #draining = false;
  /** All that the client sent before it was told to leave has come. */
  #heardLast = false;
  #stopTimer: () => void = () => {};
  #traceOfNext: ReturnType<typeof readTrace> = null;

  constructor(options: ServeOptions, { prefaced }: { prefaced: boolean }) {
    this.#options = options;
    this.#table = options.table;
    this.#limits = { ...defaultSocketLimits, ...options.limits };
    this.#intake = new Intake(options.clock, prefaced, {
      message: (reader) => this.#read(reader),
      answering: () => this.#outlet.flushing,
      failed: (error) => this.refuse(error),
    });
    this.#outlet = new Outlet(options, this.#limits.bufferedBytesMax, {
      congested: () => this.#intake.stop(),
      freed: () => this.#intake.resume(),
      haste: () => (this.#calls > 0 ? 'with answers' : this.#watches === 1 ? 'now' : 'soon'),
    });
    this.closed = new Promise((resolve) => (this.#resolveClosed = resolve));
  }

  start(stream: ServedStream): void {
    this.#stream = stream;
    this.#intake.attach(stream);
    this.#outlet.attach(stream);
    this.#stopTimer = this.#options.clock.after(this.#limits.helloMsMax, () => {
      return this.#greeted === 'yes' ? this.#watchIdle() : this.destroy();
    });
  }

  /**
   * Asks the client to connect elsewhere, answers what is under way and ends. Calls that were on the wire by then are under way too: the
   * client answers a ping after them. Places in queues are left to their leases: the client asks for them again.
   */
  async drain(graceMs: number): Promise<void> {
    if (this.#ended) return;
    this.#draining = true;
    this.#outlet.signal(messages.goaway);
    this.#outlet.signal(messages.ping);
    this.#heardLast = this.#greeted !== 'yes';
    const stop = this.#options.clock.after(graceMs, () => this.destroy());
    this.#endIfDrained();
    await this.closed;
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
    this.#intake.end();
    for (const stop of this.#ongoing.values()) stop();
    this.#ongoing.clear();
    this.#outlet.end();
    this.#resolveClosed();
  }

  data(chunk: Buffer): void {
    if (this.#ended) return;
    this.#heard = true;
    this.#intake.push(chunk);
  }

  drained(): void {
    this.#outlet.drained();
  }

  #read(r: Reader): number {
    const type = r.byte();
    if (type >= 0x20) return this.#request(type, r);
    this.#control(type, r);
    return 1;
  }

  #control(type: number, r: Reader): void {
    switch (type) {
      case messages.hello:
        return this.#hello(readHello(r));
      case messages.cancel:
        return this.#ongoing.get(r.uint())?.();
      case messages.trace:
        return void (this.#traceOfNext = readTrace(r));
      case messages.ping:
        return this.#outlet.signal(messages.pong);
      case messages.pong:
        this.#heardLast = this.#draining;
        return this.#draining ? this.#endIfDrained() : undefined;
      default:
        throw malformed(`a message of the unknown type ${type}`);
    }
  }

  #hello(hello: Hello): void {
    if (this.#greeted !== 'no') throw malformed('a second hello');
    this.#greeted = 'admitting';
    this.#welcome(hello).catch((error: unknown) => this.refuse(error));
  }

  async #welcome(hello: Hello): Promise<void> {
    const { admit, status, server = 'waymark', traced } = this.#options;
    const version = commonVersion(hello);
    const { table, raw } = (await admit?.(hello)) ?? this.#options;
    this.#table = table;
    const { callsMax, watchesMax, idleMsMax } = this.#limits;
    const { engine, identity } = (await status?.()) ?? { engine: '', identity: '' };
    const told = { version, server, engine, identity, raw, traces: traced !== undefined };
    this.#outlet.welcome({ ...told, callsMax, watchesMax, idleMsMax });
    this.#greeted = 'yes';
  }

  #request(verb: number, r: Reader): number {
    if (this.#greeted !== 'yes') throw malformed('a call before the handshake');
    const call = this.#table[verb];
    if (call === undefined) throw malformed(`there is no verb ${verb}`);
    const id = r.uint();
    if (id === 0) throw malformed('a call has an id of its own');
    this.#options.called?.(call.method);
    const from = r.position;
    const args = call.method.readArgs(r);
    const bytes = r.position - from;
    if (call.kind === 'plain' && !call.waits) this.#begin(call, id)?.start(args, bytes);
    else if (this.#ongoing.has(id)) throw malformed(`the id ${id} is in use`);
    else if (call.kind === 'plain') this.#wait(call, id, args, bytes);
    else this.#last(call, id, args);
    return call.kind === 'plain' ? call.weight : 1;
  }

  #last(call: WatchCall | ListenCall, id: number, args: unknown): void {
    // It is no span, and what comes after it is another call.
    this.#traceOfNext = null;
    const { watchesMax } = this.#limits;
    if (this.#watches >= watchesMax) return this.#outlet.error(id, overloaded({ watchesMax }));
    this.#watches++;
    if (call.kind === 'watch') this.#watch(call, id, args);
    else this.#listen(call, id, args);
  }

  /** A client that vanished keeps its place in a queue as long as its lease: only its own cancel gives it up, but for calls that say so. Most are answered at once. What clients that were told to leave ask again elsewhere by themselves has no answer here: any would end it. */
  #wait(call: PlainCall, id: number, args: unknown, bytes: number): void {
    if (this.#draining && call.method.whenBroken === 'retry') return;
    if (this.#draining) return this.#outlet.error(id, goingAway());
    const running = this.#begin(call, id);
    if (running === null) return;
    this.#waiting++;
    const options = running.options();
    running.start(args, bytes, options);
    if (!running.underWay) return;
    running.listed = true;
    this.#ongoing.set(id, () => running.abort(this.#ended));
  }

  #begin(call: PlainCall, id: number): Running | null {
    const parent = this.#traceOfNext;
    this.#traceOfNext = null;
    const { callsMax } = this.#limits;
    if (this.#calls >= callsMax) return (this.#outlet.error(id, overloaded({ callsMax })), null);
    this.#calls++;
    const running = this.#idle.pop() ?? new Running(this.#events, this.#options);
    running.id = id;
    running.call = call;
    running.parent = parent;
    return running;
  }

  readonly #events = {
    finished: (running: Running, end: CallEnd) => this.#finished(running, end),
    gone: () => this.#ended,
  };

  #finished(running: Running, end: CallEnd): void {
    this.#calls--;
    if (running.call?.waits === true) this.#waiting--;
    if (running.listed) this.#ongoing.delete(running.id);
    running.listed = false;
    if (this.#ended) return;
    if (this.#outlet.congested) this.#outlet.whenFree(() => this.#answer(running, end));
    else this.#answer(running, end);
  }

  #answer(running: Running, { value, failed }: CallEnd): void {
    if (failed) this.#fail(running.id, value);
    else this.#outlet.ok(running.id, (running.call as PlainCall).method, value);
    if (this.#idle.length < 1_024) this.#idle.push(running);
    if (this.#draining) this.#endIfDrained();
  }

  #fail(id: number, error: unknown): void {
    if (error === cancelled) return this.#outlet.cancelled(id);
    this.#options.failed?.(error);
    if (!isWaymarkError(error) || error.code === 'internal') this.#options.faulted?.(error);
    this.#outlet.error(id, error);
  }

  #watch(call: WatchCall, id: number, args: unknown): void {
    const controller = new AbortController();
    const over = (failure: { readonly error: unknown } | null): void => {
      this.#watches--;
      this.#ongoing.delete(id);
      if (failure === null) this.#outlet.cancelled(id);
      else this.#fail(id, failure.error);
    };
    this.#ongoing.set(id, () => controller.abort(cancelled));
    try {
      const opened = call.open(args, { signal: controller.signal });
      const batches = opened[Symbol.asyncIterator]();
      const { clock } = this.#options;
      new ServedWatch({ id, batches, outlet: this.#outlet, clock, over }).start();
    } catch (error) {
      over({ error });
    }
  }

  #listen(call: ListenCall, id: number, args: unknown): void {
    let [over, stop] = [false, (): void => {}];
    const end = (answer: () => void): void => {
      if (over) return;
      over = true;
      this.#watches--;
      this.#ongoing.delete(id);
      stop();
      answer();
    };
    this.#ongoing.set(id, () => end(() => this.#outlet.cancelled(id)));
    try {
      stop = call.listen(args, (result) => end(() => this.#outlet.ok(id, call.method, result)));
    } catch (error) {
      end(() => this.#outlet.error(id, error));
    }
    if (over) stop();
  }

  /** Tells what was wrong, and ends: the client does not come back with the same. */
  refuse(error: unknown): void {
    if (this.#ended) return;
    this.#outlet.error(0, error);
    this.#outlet.finish();
    this.gone();
  }

  #endIfDrained(): void {
    if (this.#calls > this.#waiting || this.#ended || !this.#heardLast) return;
    this.#outlet.finish();
    this.gone();
  }

  #watchIdle(): void {
    this.#heard = false;
    this.#stopTimer = this.#options.clock.after(this.#limits.idleMsMax, () => {
      return this.#heard || this.#intake.stopped ? this.#watchIdle() : this.destroy();
    });
  }
}
