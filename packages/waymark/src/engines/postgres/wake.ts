import type { Client } from 'pg';
import type { Clock, Random } from '../../core/clock.js';
import type { Database } from './database.js';
import type { Primary } from './primary.js';
import { quoteName } from './schema-sql.js';

export interface WakeOptions {
  readonly primary: Primary;
  readonly database: Database;
  readonly identity: string;
  readonly clock: Clock;
  readonly random: Random;
}

/** Who is not told by the database looks so often; who is looks, too, in case a word was lost. */
const pollMs = 500;
const calmMs = 10_000;
/** A probe comes back within this, or LISTEN does not work here. */
const probeMs = 2_000;
const againMs = 5_000;

/**
 * Wakes those who follow the history when there may be more of it: by LISTEN on a connection of its own while that works, by the time else.
 * Whether it works is tried by a word sent over another connection, since a pooler between may take LISTEN and pass nothing on.
 */
export class Wake {
  /** Grows whenever there may be more. */
  count = 0;
  readonly #options: WakeOptions;
  readonly #waiting = new Set<() => void>();
  #joined = 0;
  #client: Client | null = null;
  /** Whether the database tells. */
  #heard = false;
  /** Something was heard since it was last tried. */
  #recent = false;
  #probe: { readonly word: string; heard(): void } | null = null;
  #cancel: () => void = () => {};
  #closed = false;

  constructor(options: WakeOptions) {
    this.#options = options;
  }

  /** There may be more. */
  tell(): void {
    this.count++;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wakeUp of waiting) wakeUp();
  }

  /** Someone follows: the connection is kept as long as anyone does. @returns leaves */
  join(): () => void {
    if (this.#joined++ === 0) void this.#listen();
    return () => {
      if (--this.#joined === 0) this.#drop();
    };
  }

  /** Waits until there may be more than when `count` was `seen`, or it is time to look. */
  after(seen: number, signal: AbortSignal): Promise<void> {
    if (this.count !== seen || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        this.#waiting.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const cancel = this.#options.clock.after(this.#heard ? calmMs : pollMs, done);
      this.#waiting.add(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }

  close(): void {
    this.#closed = true;
    this.#drop();
    this.tell();
  }

  async #listen(): Promise<void> {
    if (this.#closed || this.#joined === 0 || this.#client !== null) return;
    const { primary, identity, clock } = this.#options;
    const client = primary.newClient();
    this.#client = client;
    client.on('error', () => this.#lost(client));
    client.on('end', () => this.#lost(client));
    client.on('notification', ({ payload }) => this.#notified(payload ?? ''));
    try {
      await client.connect();
      await client.query(`listen ${quoteName(`waymark:${identity}`)}`);
      await this.#try(client);
    } catch {
      return this.#lost(client);
    }
    if (this.#client !== client) return;
    this.#cancel = clock.after(againMs, () => void this.#again(client));
  }

  /** A word of our own must come back. */
  async #try(client: Client): Promise<void> {
    const { database, identity, clock, random } = this.#options;
    const word = `probe ${random.id()}`;
    await new Promise<void>((resolve, reject) => {
      const late = clock.after(probeMs, () => reject(new Error('LISTEN does not work here')));
      this.#probe = { word, heard: () => (late(), resolve()) };
      database
        .read('select pg_notify($1, $2)', [`waymark:${identity}`, word], {})
        .catch((error: unknown) => (late(), reject(error as Error)));
    });
    if (this.#client !== client || this.#heard) return;
    this.#heard = true;
    this.tell();
  }

  /** Tries it, unless it has just shown that it works: of many processes one mostly does for all. */
  async #again(client: Client): Promise<void> {
    try {
      if (!this.#recent) await this.#try(client);
      this.#recent = false;
    } catch {
      return this.#lost(client);
    }
    if (this.#client !== client) return;
    this.#cancel = this.#options.clock.after(againMs, () => void this.#again(client));
  }

  #notified(payload: string): void {
    this.#recent = true;
    if (payload === this.#probe?.word) this.#probe.heard();
    else if (!payload.startsWith('probe ')) this.tell();
  }

  /** From here on by the time, until it works again. */
  #lost(client: Client): void {
    if (this.#client !== client) return;
    this.#drop();
    this.tell();
    if (this.#closed || this.#joined === 0) return;
    this.#cancel = this.#options.clock.after(againMs, () => void this.#listen());
  }

  #drop(): void {
    this.#cancel();
    this.#heard = false;
    const client = this.#client;
    this.#client = null;
    client?.end().catch(() => {});
  }
}
