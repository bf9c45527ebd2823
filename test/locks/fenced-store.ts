import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

/**
 * What a lock protects: counters that clients read, add one to and write back, reached by a socket of their own. It remembers the highest
 * token seen for each counter, by reads as well as writes: else a write already under way could slip between the next holder's
 * read and write. With `fenced: false` it takes any token: the control.
 */
export class FencedStore implements AsyncDisposable {
  readonly #fenced: boolean;
  readonly #listener: Server;
  readonly #sockets = new Set<Socket>();
  readonly #counters = new Map<string, { count: number; token: number }>();

  private constructor(fenced: boolean) {
    this.#fenced = fenced;
    this.#listener = createServer({ noDelay: true }, (socket) => this.#serve(socket));
  }

  static async open(options: { readonly fenced: boolean }): Promise<FencedStore> {
    const store = new FencedStore(options.fenced);
    await new Promise<void>((resolve) => store.#listener.listen(0, '127.0.0.1', resolve));
    return store;
  }

  get port(): number {
    const address = this.#listener.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  count(name: string): number {
    return this.#counters.get(name)?.count ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#listener.close(resolve));
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    createInterface({ input: socket }).on('line', (line) => {
      const { id, ...request } = JSON.parse(line) as StoreRequest & { id: number };
      socket.write(`${JSON.stringify({ id, count: this.#answer(request) })}\n`);
    });
  }

  /** The count, or null when the token is too low. */
  #answer({ name, token, write }: StoreRequest): number | null {
    const counter = this.#counters.get(name) ?? { count: 0, token: 0 };
    this.#counters.set(name, counter);
    if (this.#fenced && token < counter.token) return null;
    counter.token = Math.max(counter.token, token);
    if (write !== undefined) counter.count = write;
    return counter.count;
  }
}

interface StoreRequest {
  readonly name: string;
  readonly token: number;
  readonly write?: number | undefined;
}

export class StoreClient {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, (count: number | null) => void>();
  #last = 0;

  constructor(port: number) {
    this.#socket = createConnection({ port, host: '127.0.0.1', noDelay: true });
    createInterface({ input: this.#socket }).on('line', (line) => {
      const { id, count } = JSON.parse(line) as { id: number; count: number | null };
      this.#waiting.get(id)?.(count);
      this.#waiting.delete(id);
    });
  }

  /** @returns the count, or null when the token was refused */
  ask(request: StoreRequest): Promise<number | null> {
    const id = ++this.#last;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#socket.write(`${JSON.stringify({ id, ...request })}\n`);
    });
  }

  close(): void {
    this.#socket.destroy();
  }
}
