import { connect, createServer, type Server, type Socket } from 'node:net';

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
}

/** Stands between clients and a server on loopback, and does to their connections what networks do. */
export class FaultProxy implements AsyncDisposable {
  readonly #listener: Server;
  readonly #pairs = new Set<Pair>();
  /** Replies are held back for so long; requests pass at once. */
  replyDelayMs = 0;
  /** Replies vanish; requests pass. */
  replyDrop = false;
  /** Requests vanish; replies pass. */
  requestDrop = false;
  /** Nothing new is let in. */
  refuse = false;

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
    this.replyDelayMs = 0;
    this.replyDrop = this.requestDrop = this.refuse = false;
    this.cutAll();
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
    const pair: Pair = { client, server };
    this.#pairs.add(pair);
    client.on('data', (bytes) => void (this.requestDrop || server.write(bytes)));
    server.on('data', (bytes) => {
      if (this.replyDrop) return;
      if (this.replyDelayMs === 0) client.write(bytes);
      else setTimeout(() => void (client.destroyed || client.write(bytes)), this.replyDelayMs);
    });
    for (const socket of [client, server]) {
      socket.on('error', () => this.#end(pair));
      socket.on('close', () => this.#end(pair));
    }
  }

  #end(pair: Pair): void {
    this.#pairs.delete(pair);
    pair.client.destroy();
    pair.server.destroy();
  }
}
