import type { Clock, Random } from '../../core/clock.js';
import { WaymarkError } from '../../core/errors.js';
import { FrameSplitter, protocolVersion } from '../../wire/frames.js';
import { type Welcome, writeHello } from '../../wire/hello.js';
import { messages } from '../../wire/messages.js';
import { Reader } from '../../wire/reader.js';
import { Writer } from '../../wire/writer.js';
import { Answers } from './answers.js';
import type { PlaceTable } from './place-table.js';
import { openTransport, type Transport } from './transport.js';

const backoffMsMin = 20;
const backoffMsMax = 2_000;
/** A transport that was ended is given so long to send what is left. */
const lingerMs = 1_000;
/** Where there are other servers, one has so long to answer the handshake. */
const handshakeMsMax = 2_000;

export interface LinkEvents {
  /** A server answered the handshake: calls can be sent. */
  ready(): void;
  /** The transport is gone, a new one will be made. */
  broke(cause: unknown): void;
  /** The first handshake was refused, or there is no such URL: no other try would do better. */
  refused(error: unknown): void;
  /** Something was read, or the transport took what was written. */
  moved(): void;
  heard(): void;
}

export interface LinkOptions {
  /** Of servers that are one as good as the other. */
  readonly addresses: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly client: string;
  readonly token: string | undefined;
}

/** The way to the server: one transport after the other, each with its handshake, and what is written to it. */
export class Link {
  writer = new Writer();
  ready = false;
  /** The server asked to be left. */
  leaving = false;
  welcome: Welcome | null = null;
  readonly #options: LinkOptions;
  readonly #table: PlaceTable;
  readonly #events: LinkEvents;
  #transport: Transport | null = null;
  #answers: Answers | null = null;
  /** Counts transports, so that events of an old one are told apart. */
  #generation = 0;
  /** Since a handshake was answered. */
  #tries = 0;
  #address: number;
  #flushing = false;
  /** What the transport held when it was last looked at: with each write and whatever comes from it, not with each call. */
  #unsent = 0;
  #closed = false;
  #stopWaiting: () => void = () => {};

  constructor(options: LinkOptions, table: PlaceTable, events: LinkEvents) {
    this.#options = options;
    this.#table = table;
    this.#events = events;
    this.#address = Math.floor(options.random.next() * options.addresses.length);
  }

  get buffered(): number {
    return this.writer.pending + this.#unsent;
  }

  connect(): void {
    if (this.#closed) return;
    this.#transport?.destroy();
    this.#transport = null;
    const generation = ++this.#generation;
    const current = (): boolean => generation === this.#generation;
    const answers = this.#newAnswers();
    const splitter = new FrameSplitter((chunk, start, end) =>
      answers.frame(new Reader(chunk, start, end)),
    );
    this.#events.heard();
    const events = {
      opened: () => {
        if (current()) this.#hello();
      },
      data: (chunk: Buffer) => {
        if (!current()) return;
        this.#events.heard();
        try {
          splitter.push(chunk);
        } catch (error) {
          if (current()) this.broke(error);
        }
        if (current()) this.#moved();
      },
      drained: () => {
        if (current()) this.#moved();
      },
      closed: (cause: Error | undefined) => {
        if (current()) this.broke(cause);
      },
    };
    this.#expect(current);
    openTransport(this.#url, events).then(
      (transport) => {
        if (current() && !this.#closed) this.#transport = transport;
        else transport.destroy();
      },
      (error: unknown) => {
        // Files of TLS may be on their way to being exchanged, once they were right.
        if (this.welcome === null) this.#events.refused(error);
        else if (current()) this.broke(error);
      },
    );
  }

  /** Gives the transport up and makes another, to the next server; after a jittered pause, but when all the others are still to be tried. */
  broke(cause: unknown): void {
    if (this.#closed) return;
    this.#stopWaiting();
    this.#generation++;
    this.#transport?.destroy();
    this.#transport = null;
    this.ready = false;
    this.leaving = false;
    this.#answers?.end();
    this.writer = new Writer();
    this.#unsent = 0;
    this.#events.broke(cause);
    if (this.#closed) return;
    const { clock, random, addresses } = this.#options;
    this.#address = (this.#address + 1) % addresses.length;
    const round = Math.floor(this.#tries / addresses.length);
    const first = this.#tries++ % addresses.length === 0;
    const span = first ? Math.min(backoffMsMax, backoffMsMin * 2 ** round) : 0;
    // The process stays for it: it would wait for an answer else, and end.
    this.#stopWaiting = clock.after(span * random.next(), () => this.connect(), true);
  }

  /** Ends it. What is written still leaves; a server that does not take it is left after a while. */
  close(): void {
    this.#closed = true;
    this.#generation++;
    this.#stopWaiting();
    this.#answers?.end();
    const transport = this.#transport;
    this.#transport = null;
    if (transport === null) return;
    if (!this.ready) return transport.destroy();
    this.ready = false;
    const last = this.writer.take();
    if (last !== null) transport.send(last);
    transport.end();
    this.#options.clock.after(lingerMs, () => transport.destroy());
  }

  /** A message without fields, or with an id alone. */
  signal(type: number, id?: number): void {
    this.writer.begin();
    this.writer.byte(type);
    if (id !== undefined) this.writer.uint(id);
    this.writer.end();
    this.flushSoon();
  }

  /** Everything written in this turn leaves together, after the microtasks that write more. */
  flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    process.nextTick(this.#flush);
  }

  readonly #flush = (): void => {
    this.#flushing = false;
    if (this.#transport === null) return;
    const bytes = this.writer.take();
    if (bytes === null) return;
    this.#transport.send(bytes);
    this.#unsent = this.#transport.buffered;
    if (this.#table.queue.length > 0) this.#events.moved();
  };

  #moved(): void {
    this.#unsent = this.#transport?.buffered ?? 0;
    this.#events.moved();
  }

  get #url(): string {
    return this.#options.addresses[this.#address] as string;
  }

  /** A server that takes the connection and stays silent must not keep others from being tried. */
  #expect(current: () => boolean): void {
    if (this.#options.addresses.length === 1) return;
    const silent = new Error(`${this.#url} did not answer within ${handshakeMsMax} ms`);
    this.#options.clock.after(handshakeMsMax, () => {
      if (current() && !this.ready) this.broke(silent);
    });
  }

  #hello(): void {
    const { client, token } = this.#options;
    this.writer = new Writer();
    this.writer.begin();
    this.writer.byte(messages.hello);
    const { min, max } = protocolVersion;
    writeHello(this.writer, { versionMin: min, versionMax: max, client, token });
    this.writer.end();
    this.flushSoon();
  }

  #newAnswers(): Answers {
    this.#answers = new Answers(this.#table, {
      welcomed: (welcome) => {
        this.welcome = welcome;
        this.ready = true;
        this.#tries = 0;
        this.#events.ready();
      },
      refused: (error: WaymarkError) => {
        const others = this.#options.addresses.length > 1 && error.code === 'unavailable';
        // Who was known and is not any more: its token has ended, at all servers of the engine.
        const ended = this.welcome !== null && error.code === 'unauthenticated';
        if (ended || (this.welcome === null && !others)) this.#events.refused(error);
        else this.broke(error);
      },
      goaway: () => {
        this.leaving = true;
      },
      pinged: () => this.signal(messages.pong),
    });
    return this.#answers;
  }
}
