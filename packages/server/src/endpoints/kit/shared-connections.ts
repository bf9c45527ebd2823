/** Connections that several endpoints use at once: a hundred endpoints on one broker take one. */
export class SharedConnections {
  readonly #open = new Map<string, Shared<unknown>>();

  /**
   * Hands out what stands under the key, or opens it. What failed to open, or was closed by itself (`dropped`), is opened anew by the next who asks.
   *
   * @param key  names server, account and all that makes connections differ; it may hold secrets and is not shown
   */
  use<C>(key: string, open: () => SharedConnection<C>): Use<C> {
    const known = this.#open.get(key) as Shared<C> | undefined;
    const shared = known ?? { ...open(), users: 0 };
    if (known === undefined) {
      this.#open.set(key, shared);
      shared.dropped.then(
        () => this.#forget(key, shared),
        () => this.#forget(key, shared),
      );
    }
    shared.users += 1;
    let given = true;
    return {
      connection: shared.connection,
      leave: async () => {
        if (!given) return;
        given = false;
        shared.users -= 1;
        if (shared.users > 0) return;
        this.#forget(key, shared);
        await shared.close();
      },
    };
  }

  /** How many stand. */
  get size(): number {
    return this.#open.size;
  }

  #forget(key: string, shared: Shared<unknown>): void {
    if (this.#open.get(key) === shared) this.#open.delete(key);
  }
}

export interface SharedConnection<C> {
  readonly connection: Promise<C>;
  /** Settles when the connection is no use any more, also when it failed to open. */
  readonly dropped: Promise<unknown>;
  close(): Promise<void>;
}

interface Shared<C> extends SharedConnection<C> {
  users: number;
}

export interface Use<C> {
  readonly connection: Promise<C>;
  /** Gives it back; the last one to leave closes it. */
  leave(): Promise<void>;
}
