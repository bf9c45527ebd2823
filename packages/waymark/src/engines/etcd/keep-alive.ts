import { create } from '@bufbuild/protobuf';
import type { Clock } from '../../core/clock.js';
import type { CallOptions, LeaseId } from '../../core/engine.js';
import { WaymarkError } from '../../core/errors.js';
import { toNumber } from './entry-codec.js';
import type { EtcdClient, OpenedStream } from './etcd-client.js';
import { Lease, LeaseKeepAliveRequestSchema } from './gen/etcd_pb.js';

type KeepAliveMethod = typeof Lease.method.leaseKeepAlive;
type Opened = OpenedStream<KeepAliveMethod['input'], KeepAliveMethod['output']>;

interface Asked {
  resolve(ttlMs: number): void;
  reject(error: unknown): void;
}

/** Renewals over one stream, which is opened when one is first asked for. */
export class KeepAlive {
  readonly #client: EtcdClient;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #asked = new Map<bigint, Asked[]>();
  #stream: Promise<Opened> | null = null;

  constructor(client: EtcdClient, clock: Clock, timeoutMs: number) {
    this.#client = client;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  /** @returns the TTL that was granted, ms; 0 when there is no such lease */
  async renew(id: LeaseId, { signal }: CallOptions = {}): Promise<number> {
    signal?.throwIfAborted();
    const { stream, failed } = await this.#open();
    return await new Promise<number>((resolve, reject) => {
      const key = BigInt(id);
      const settled = (): void => {
        late();
        signal?.removeEventListener('abort', abort);
      };
      const asked: Asked = {
        resolve: (ttlMs) => (settled(), resolve(ttlMs)),
        reject: (error) => (settled(), reject(error as Error)),
      };
      // The answer may still come: it is then nobody's, and keeps its place.
      const abort = (): void => asked.reject((signal as AbortSignal).reason);
      const late = this.#clock.after(this.#timeoutMs, () => {
        failed();
        stream.cancel();
        asked.reject(silent());
      });
      signal?.addEventListener('abort', abort, { once: true });
      const others = this.#asked.get(key);
      if (others === undefined) this.#asked.set(key, [asked]);
      else others.push(asked);
      stream.write(create(LeaseKeepAliveRequestSchema, { ID: key }));
    });
  }

  close(): void {
    this.#stream?.then(
      ({ stream }) => stream.cancel(),
      () => undefined,
    );
    this.#end(new WaymarkError('unavailable', 'the engine is closed'));
  }

  #open(): Promise<Opened> {
    return (this.#stream ??= this.#connect().catch((error: unknown) => {
      this.#stream = null;
      throw error;
    }));
  }

  async #connect(): Promise<Opened> {
    const opened = await this.#client.stream(Lease.method.leaseKeepAlive);
    const { stream } = opened;
    stream.on('data', ({ ID, TTL }) => {
      const asked = this.#asked.get(ID);
      const first = asked?.shift();
      if (asked?.length === 0) this.#asked.delete(ID);
      first?.resolve(toNumber(TTL) * 1_000);
    });
    let open = true;
    const over = (error?: unknown): void => {
      if (!open) return;
      open = false;
      opened.failed(error);
      this.#end(silent());
    };
    stream.on('error', over);
    stream.on('end', () => over());
    return opened;
  }

  /** Whether a renewal arrived is not known, but then it did no harm. */
  #end(error: WaymarkError): void {
    this.#stream = null;
    const asked = [...this.#asked.values()].flat();
    this.#asked.clear();
    for (const { reject } of asked) reject(error);
  }
}

function silent(): WaymarkError {
  return new WaymarkError('unavailable', 'etcd did not answer a renewal');
}
