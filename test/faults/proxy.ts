import { connect, createServer, type Server, type Socket } from 'node:net';

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  /** Replies that are held back, the oldest first. */
  readonly held: Buffer[];
}

/** What a proxy can do to what passes through it. */
export type LinkFaults = Partial<
  Pick<
    FaultProxy,
    | 'replyDelayMs'
    | 'replyJitterMs'
    | 'replyDrop'
    | 'requestDrop'
    | 'halfOpen'
    | 'cutAfterBytes'
    | 'refuse'
  >
>;

/** Stands between clients and a server on loopback, and does to their connections what networks do. */
export class FaultProxy implements AsyncDisposable {
  readonly #listener: Server;
  readonly #pairs = new Set<Pair>();
  /** Replies are held back for so long; requests pass at once. */
  replyDelayMs = 0;
  /** And for up to so long more, at random; they stay in order. */
  replyJitterMs = 0;
  /** Replies vanish; requests pass. */
  replyDrop = false;
  /** Requests vanish; replies pass. */
  requestDrop = false;
  /** Nothing passes, either way; connections stand, and new ones are let in. */
  halfOpen = false;
  /** A connection is reset in the middle of its replies, after so many bytes from now on. */
  cutAfterBytes = Infinity;
  /** Nothing new is let in. */
  refuse = false;

  /** What is set here is set at once: `proxy.set({ replyDrop: true })`. */
  set(faults: LinkFaults): void {
    Object.assign(this, faults);
  }

  private constructor(target: URL) {
    this.#listener = createServer({ noDelay: true }, (client) => this.#accept(client, target));
  }

  static async open(target: string): Promise<FaultProxy> {
    const proxy = new FaultProxy(new URL(target));
    await new Promise<void>((resolve) => proxy.#listener.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get url(): string {
    const address = this.#listener.address();
    return `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
  }

  get connections(): number {
    return this.#pairs.size;
  }

  /** Resets the connection with this number, counted from 0 modulo those there are. */
  cut(number: number): void {
    const pair = [...this.#pairs][number % Math.max(1, this.#pairs.size)];
    if (pair !== undefined) this.#end(pair);
  }

  /** Ends every fault, and the connections that suffered them. */
  heal(): void {
    this.replyDelayMs = this.replyJitterMs = 0;
    this.cutAfterBytes = Infinity;
    this.replyDrop = this.requestDrop = this.halfOpen = this.refuse = false;
    this.cutAll();
  }

  /** Says this to every client, between two replies. */
  say(bytes: Buffer): void {
    for (const { client } of this.#pairs) client.write(bytes);
  }

  cutAll(): void {
    for (const pair of this.#pairs) this.#end(pair);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cutAll();
    await new Promise((resolve) => this.#listener.close(resolve));
  }

  #accept(client: Socket, target: URL): void {
    if (this.refuse) {
      client.resetAndDestroy();
      return;
    }
    const server = connect({ host: target.hostname, port: Number(target.port), noDelay: true });
    const pair: Pair = { client, server, held: [] };
    this.#pairs.add(pair);
    client.on('data', (bytes) => void (this.requestDrop || this.halfOpen || server.write(bytes)));
    server.on('data', (bytes) => this.#reply(pair, bytes));
    for (const socket of [client, server]) {
      socket.on('error', () => this.#end(pair));
      socket.on('close', () => this.#end(pair));
    }
  }

  #reply(pair: Pair, bytes: Buffer): void {
    if (this.replyDrop || this.halfOpen) return;
    const rest = Math.max(0, this.cutAfterBytes);
    this.cutAfterBytes -= bytes.length;
    if (bytes.length > rest) {
      pair.client.write(bytes.subarray(0, rest), () => this.#end(pair));
      return;
    }
    const heldMs = this.replyDelayMs + Math.random() * this.replyJitterMs;
    if (heldMs === 0 && pair.held.length === 0) {
      pair.client.write(bytes);
      return;
    }
    pair.held.push(bytes);
    // Each timer lets go of the oldest: what comes later never overtakes.
    setTimeout(() => {
      const oldest = pair.held.shift();
      if (oldest !== undefined && !pair.client.destroyed) pair.client.write(oldest);
    }, heldMs);
  }

  #end(pair: Pair): void {
    this.#pairs.delete(pair);
    pair.client.destroy();
    pair.server.destroy();
  }
}
