import type { Clock, Random } from '../core/clock.js';
import { type JoinedSignal, joinedSignal } from '../core/joined-signal.js';
import type { Host } from '../core/host.js';
import { WaymarkError } from '../core/errors.js';
import { validateTtl } from '../core/validate.js';
import { json } from './codecs.js';
import { Courier } from './courier.js';
import { HeldLock } from './held-lock.js';
import { Holder } from './holder.js';
import { keepLease } from './kept-lease.js';
import { HostNamespace } from './namespace.js';
import type { Watchers } from '../core/watchers.js';
import { HostStash } from './stash.js';
import type { Stash } from './stash-types.js';
import { HostWatchers } from './watchers.js';
import { OwnLocks } from './own-locks.js';
import { checkNamespaceName } from './paths.js';
import type {
  Call,
  Codec,
  KeptLease,
  Lock,
  LockCall,
  Namespace,
  NamespaceOptions,
  Space,
  SpaceStatus,
} from './types.js';

export interface SpaceOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Who to show as holder; at most 256 bytes. */
  readonly owner: string;
  /** Closed with the space, after its host. */
  readonly engine?: AsyncDisposable | undefined;
}

/** A server that stays silent gets no longer goodbye: what is held there ends with its lease. */
const goodbyeMsMax = 5_000;

/** A space over a host. `open` makes one with its host; a server makes one over its own. */
export function createSpace(host: Host, options: SpaceOptions): Space {
  return new HostSpace(host, options);
}

export class HostSpace implements Space {
  readonly owner: string;
  readonly host: Host;
  readonly clock: Clock;
  readonly random: Random;
  readonly holder: Holder;
  readonly courier: Courier;
  readonly watchers: Watchers;
  readonly stash: Stash;
  readonly #engine: AsyncDisposable | undefined;
  readonly #locks = new Map<string, OwnLocks>();
  readonly #closing = new AbortController();
  /** Each ends something that lasts. */
  readonly #open = new Set<(reason: unknown) => void>();
  /** Beside the signal, as every call asks, and a field answers at once. */
  #closed: WaymarkError | null = null;

  constructor(host: Host, options: SpaceOptions) {
    this.host = host;
    this.clock = options.clock;
    this.random = options.random;
    this.owner = options.owner;
    this.holder = new Holder(host, options.clock, options.random, options.owner);
    this.courier = new Courier(host, options.clock, options.random);
    this.watchers = new HostWatchers(this);
    this.stash = new HostStash(this);
    this.#engine = options.engine;
  }

  namespace<T = unknown>(name: string, options: NamespaceOptions<T> = {}): Namespace<T> {
    checkNamespaceName(name);
    const codec = options.codec ?? (json as unknown as Codec<T>);
    return new HostNamespace<T>(this, name, '/', codec, options.guard !== false);
  }

  async namespaces(call: Call = {}): Promise<readonly string[]> {
    this.checkOpen();
    return await this.host.namespaces({ signal: call.signal });
  }

  async removeNamespace(name: string, call: Call = {}): Promise<void> {
    this.checkOpen();
    checkNamespaceName(name);
    await this.host.removeNamespace(name, { signal: call.signal });
  }

  async lease(ttlMs: number, call: Call & { readonly renew?: boolean } = {}): Promise<KeptLease> {
    this.checkOpen();
    validateTtl(ttlMs);
    const { signal, renew = true } = call;
    return await keepLease(this.host, this.clock, ttlMs, { renew, signal });
  }

  async status(call: Call = {}): Promise<SpaceStatus> {
    this.checkOpen();
    return { ...(await this.host.status({ signal: call.signal })), owner: this.owner };
  }

  /** @param path  canonical. @throws {WaymarkError} `timeout`, `lost`, `conflict`; null only with `waitMs: 0` */
  acquire(namespace: string, path: string, call: LockCall): Promise<Lock | null> {
    if (this.#closed !== null) return Promise.reject(this.#closed);
    const { host } = this;
    const { tree = false, mode = 'exclusive', waitMs, signal } = call;
    return this.holder.hold({
      path,
      call,
      ask: ({ id, lease, owner, session }) => {
        const request = { id, path, tree, mode, lease, owner, session, waitMs };
        return host.acquire(namespace, request, signal && { signal });
      },
      giveUp: ({ id }) => host.release(namespace, { path, tree, mode, id }),
      make: (parts, { id }) => {
        const hold = { path, tree, mode, id };
        const among = this.ownLocks(namespace);
        const lock = new HeldLock(parts, { host, namespace, hold, among });
        among.add(lock);
        return lock;
      },
    });
  }

  /** What this process holds in a namespace. */
  ownLocks(namespace: string): OwnLocks {
    let locks = this.#locks.get(namespace);
    if (locks === undefined) this.#locks.set(namespace, (locks = new OwnLocks()));
    return locks;
  }

  async close(): Promise<void> {
    if (this.#closed !== null) return;
    const closed = new WaymarkError('unavailable', 'the space is closed');
    this.#closed = closed;
    this.#closing.abort(closed);
    for (const end of this.#open) end(closed);
    this.holder.endWaiting(closed);
    let disarm = (): void => undefined;
    const late = new Promise<void>((resolve) => {
      disarm = this.clock.after(goodbyeMsMax, resolve, true);
    });
    await Promise.race([this.holder.release(), late]);
    disarm();
    await this.courier.close();
    await this.host[Symbol.asyncDispose]();
    await this.#engine?.[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** How much there is of what lasts. */
  get lasting(): number {
    return this.#open.size;
  }

  /** A signal for what lasts: it ends with the space, and with the caller's. */
  join(signal?: AbortSignal): JoinedSignal {
    const { end, leave, ...joined } = joinedSignal(signal);
    if (this.#closed !== null) end(this.#closed);
    else this.#open.add(end);
    const leaveAll = (): void => {
      this.#open.delete(end);
      leave();
    };
    return { ...joined, end, leave: leaveAll };
  }

  /** Aborts when the space closes. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  checkOpen(): void {
    if (this.#closed !== null) throw this.#closed;
  }
}
