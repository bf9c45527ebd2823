import { setMaxListeners } from 'node:events';
import type { Clock, Random } from '../core/clock.js';
import type { AcquireRequest, Host } from '../core/host.js';
import type { ByteString } from '../core/engine.js';
import { isWaymarkError, WaymarkError } from '../core/errors.js';
import { validateTtl } from '../core/validate.js';
import { json } from './codecs.js';
import { HeldLock } from './held-lock.js';
import { keepLease } from './kept-lease.js';
import { HostNamespace } from './namespace.js';
import { ancestorsOf, checkNamespaceName, pathToBytes, resolvePath } from './paths.js';
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

const ttlMsDefault = 10_000;

/** A space over a host. `open` makes one with its host; a server makes one over its own. */
export function createSpace(host: Host, options: SpaceOptions): Space {
  return new HostSpace(host, options);
}

export class HostSpace implements Space {
  readonly owner: string;
  readonly host: Host;
  readonly clock: Clock;
  readonly random: Random;
  readonly #session: string;
  readonly #engine: AsyncDisposable | undefined;
  /** One renewed lease per TTL, shared by the locks that ask for it. */
  readonly #leases = new Map<number, Promise<KeptLease>>();
  /** Held locks by namespace and path in key form. */
  readonly #locks = new Map<string, Map<ByteString, Set<HeldLock>>>();
  readonly #ends = new WeakMap<KeptLease, AbortSignal>();
  readonly #closing = new AbortController();

  constructor(host: Host, options: SpaceOptions) {
    this.host = host;
    this.clock = options.clock;
    this.random = options.random;
    this.owner = options.owner;
    this.#session = options.random.id();
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

  /** @throws {WaymarkError} `timeout`, `lost`, `conflict`; null only with `waitMs: 0` */
  async acquire(namespace: string, path: string, call: LockCall): Promise<Lock | null> {
    this.checkOpen();
    const ttlMs = call.ttlMs ?? ttlMsDefault;
    validateTtl(ttlMs);
    call.signal?.throwIfAborted();
    const ownLease = call.renew === false;
    const lease = await (ownLease ? this.lease(ttlMs, { renew: false }) : this.#sharedLease(ttlMs));
    const request: AcquireRequest = {
      id: this.random.id(),
      path: resolvePath('/', path),
      tree: call.tree ?? false,
      mode: call.mode ?? 'exclusive',
      lease: lease.id,
      owner: call.owner ?? this.owner,
      session: this.#session,
      waitMs: call.waitMs,
    };
    const lock = await this.#take(namespace, request, lease, ownLease, call.signal);
    if (lock === null && ownLease) await lease.release();
    return lock;
  }

  /** The space's own exclusive locks that bear on a write there. */
  locksOn(namespace: string, path: string, tree: boolean): HeldLock[] {
    const byPath = this.#locks.get(namespace);
    if (byPath === undefined || byPath.size === 0) return [];
    const bytes = pathToBytes(path);
    const found: HeldLock[] = [];
    const add = (locks: Iterable<HeldLock> | undefined, treesOnly: boolean): void => {
      for (const lock of locks ?? []) {
        if (lock.mode === 'exclusive' && (lock.tree || !treesOnly)) found.push(lock);
      }
    };
    for (const ancestor of ancestorsOf(bytes)) add(byPath.get(ancestor), true);
    add(byPath.get(bytes), false);
    if (tree)
      for (const [held, locks] of byPath) if (held.startsWith(`${bytes}/`)) add(locks, false);
    return found;
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(new WaymarkError('unavailable', 'the space is closed'));
    const locks = [...this.#locks.values()].flatMap((byPath) =>
      [...byPath.values()].flatMap((set) => [...set]),
    );
    await Promise.allSettled(locks.map((lock) => lock.release()));
    const leases = await Promise.allSettled(this.#leases.values());
    await Promise.allSettled(
      leases.map(async (lease) => lease.status === 'fulfilled' && (await lease.value.release())),
    );
    await this.host[Symbol.asyncDispose]();
    await this.#engine?.[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Aborts when the space closes. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  checkOpen(): void {
    this.#closing.signal.throwIfAborted();
  }

  async #take(
    namespace: string,
    request: AcquireRequest,
    lease: KeptLease,
    ownLease: boolean,
    signal: AbortSignal | undefined,
  ): Promise<HeldLock | null> {
    // A waiter whose lease is lost, or whose space closes, stops waiting.
    const ended =
      signal === undefined ? this.#endOf(lease) : AbortSignal.any([this.#endOf(lease), signal]);
    ended.throwIfAborted();
    const acquiring = this.host.acquire(namespace, request, { signal: ended });
    const grant = await orLost(acquiring, lease).catch((error: unknown) => {
      if (ownLease) void lease.release().catch(() => undefined);
      else if (isWaymarkError(error, 'lost')) this.#forgetLease(lease);
      throw error;
    });
    if (grant === null) return null;
    const lock = new HeldLock({
      host: this.host,
      clock: this.clock,
      namespace,
      lease,
      ownLease,
      grant,
      ended: (held) => this.#forget(namespace, held),
    });
    // A grant that arrives after the lease can no longer be counted on is no grant (rule L3).
    if (!lock.isHeld())
      throw lock.reason ?? new WaymarkError('lost', 'the lease ended while waiting');
    this.#remember(namespace, lock);
    return lock;
  }

  /** Aborts when the lease is lost or the space closes; made once per lease. */
  #endOf(lease: KeptLease): AbortSignal {
    let end = this.#ends.get(lease);
    if (end === undefined || lease.signal.aborted) {
      end = AbortSignal.any([lease.signal, this.#closing.signal]);
      setMaxListeners(0, end);
      this.#ends.set(lease, end);
    }
    return end;
  }

  #remember(namespace: string, lock: HeldLock): void {
    const byPath = this.#locks.get(namespace) ?? new Map<ByteString, Set<HeldLock>>();
    this.#locks.set(namespace, byPath);
    const path = pathToBytes(lock.path);
    const locks = byPath.get(path);
    if (locks === undefined) byPath.set(path, new Set([lock]));
    else locks.add(lock);
  }

  #forget(namespace: string, lock: HeldLock): void {
    const byPath = this.#locks.get(namespace);
    const path = pathToBytes(lock.path);
    const locks = byPath?.get(path);
    if (locks?.delete(lock) && locks.size === 0) byPath?.delete(path);
  }

  async #sharedLease(ttlMs: number): Promise<KeptLease> {
    const known = this.#leases.get(ttlMs);
    if (known !== undefined) {
      const lease = await known.catch(() => null);
      if (lease?.isHeld() === true) return lease;
      if (this.#leases.get(ttlMs) === known) this.#leases.delete(ttlMs);
      return await this.#sharedLease(ttlMs);
    }
    const fresh = this.lease(ttlMs);
    this.#leases.set(ttlMs, fresh);
    return await fresh;
  }

  #forgetLease(lease: KeptLease): void {
    this.#leases.delete(lease.ttlMs);
  }
}

/** A lost lease takes the place in the queue with it: its waiter need not hear so from an engine it may no longer reach. */
async function orLost<T>(work: Promise<T>, { signal }: KeptLease): Promise<T> {
  let lost = (): void => undefined;
  const loss = new Promise<never>((_, reject) => {
    lost = () => reject(signal.reason as WaymarkError);
    if (signal.aborted) lost();
    else signal.addEventListener('abort', lost, { once: true });
  });
  try {
    return await Promise.race([work, loss]);
  } finally {
    signal.removeEventListener('abort', lost);
  }
}
