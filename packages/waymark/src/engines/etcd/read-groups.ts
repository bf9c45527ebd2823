import type { Clock } from '../../core/clock.js';
import type { Query, Reading } from '../../core/engine.js';
import { assert } from '../../core/errors.js';
import { soon } from '../../core/soon.js';
import { readReading, revisionOf, writeQuery } from './entry-codec.js';
import type { EtcdClient } from './etcd-client.js';
import { rangesOf } from './facts.js';
import { KV } from './gen/etcd_pb.js';
import type { Layout } from './layout.js';

/** A group reads so many keys; each has up to a mebibyte. */
const groupMax = 64;
const onTheirWayMax = 4;

interface Waiting {
  readonly query: Query;
  resolve(reading: Reading): void;
  reject(error: unknown): void;
}

/** Reads of single keys that wait together go out as one transaction, true at one revision. One that comes alone is sent at once. */
export class ReadGroups {
  readonly #client: EtcdClient;
  readonly #layout: Layout;
  readonly #clock: Clock;
  #waiting: Waiting[] = [];
  #groups = 0;
  #scheduled = false;

  constructor(client: EtcdClient, layout: Layout, clock: Clock) {
    this.#client = client;
    this.#layout = layout;
    this.#clock = clock;
  }

  read(query: Query, signal: AbortSignal | undefined): Promise<Reading> {
    return new Promise((resolve, reject) => {
      const abort = (): void => waiting.reject((signal as AbortSignal).reason);
      const settled = (): void => signal?.removeEventListener('abort', abort);
      const waiting: Waiting = {
        query,
        resolve: (reading) => (settled(), resolve(reading)),
        reject: (error) => (settled(), reject(error as Error)),
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiting.push(waiting);
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#scheduled || this.#groups >= onTheirWayMax) return;
    this.#scheduled = true;
    if (this.#groups === 0) soon(this.#pump);
    else this.#clock.nextTurn(this.#pump);
  }

  readonly #pump = (): void => {
    this.#scheduled = false;
    while (this.#groups < onTheirWayMax && this.#waiting.length > 0) {
      void this.#send(this.#waiting.splice(0, groupMax));
    }
  };

  async #send(group: readonly Waiting[]): Promise<void> {
    this.#groups++;
    try {
      const success = group.map(({ query }) => ({
        request: {
          case: 'requestRange' as const,
          value: writeQuery({ layout: this.#layout }, query),
        },
      }));
      const answer = await this.#client.call(KV.method.txn, { success }, { kind: 'read' });
      const revision = revisionOf(answer);
      const ranges = rangesOf(answer);
      for (const [index, { query, resolve }] of group.entries()) {
        const range = ranges[index];
        assert(range !== undefined, 'etcd answers each read');
        resolve(readReading(this.#layout, query, range, revision));
      }
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
    this.#groups--;
    if (this.#waiting.length > 0) this.#schedule();
  }
}
