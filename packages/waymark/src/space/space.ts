import type { Clock, Random } from '../core/clock.js';
import type { AcquireRequest, Host } from '../core/host.js';
import type { ByteString } from '../core/engine.js';
import { isWaymarkError, WaymarkError } from '../core/errors.js';
import { validateTtl } from '../core/validate.js';
import { Asking } from './asking.js';
import { json } from './codecs.js';
import { HeldLock } from './held-lock.js';
import { type HostLease, keepLease } from './kept-lease.js';
import { LateWatches } from './late-watches.js';
import { HostNamespace } from './namespace.js';
import { ancestorsOf, checkNamespaceName, pathToBytes } from './paths.js';
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
  readonly #session: string;
  /** Lock requests so far: with 66 random bits of the session their ids are unique, and short keys are hashed faster. */
  #asked = 0;
  readonly #engine: AsyncDisposable | undefined;
  /** One renewed lease per TTL, shared by the locks that ask for it. */
  readonly #leases = new Map<number, Promise<HostLease>>();
  /** Those of them that were granted. */
  readonly #granted = new Map<number, HostLease>();
  /** Held locks by namespace and path in key form. */
  readonly #locks = new Map<string, Map<ByteString, HeldLock[]>>();
  readonly #watches: LateWatches;
  /** Who waits for a lock. */
  readonly #waiting = new Set<Asking<unknown>>();
  readonly #closing = new AbortController();
  /** Beside the signal, as every call asks, and a field answers at once. */
  #closed: WaymarkError | null = null;

  constructor(host: Host, options: SpaceOptions) {
    this.host = host;
    this.clock = options.clock;
    this.random = options.random;
    this.owner = options.owner;
    this.#watches = new LateWatches(options.clock);
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

  /** @param path  canonical. @throws {WaymarkError} `timeout`, `lost`, `conflict`; null only with `waitMs: 0` */
  async acquire(namespace: string, path: string, call: LockCall): Promise<Lock | null> {
    this.checkOpen();
    const ttlMs = call.ttlMs ?? ttlMsDefault;
    validateTtl(ttlMs);
    call.signal?.throwIfAborted();
    const ownLease = call.renew === false;
    const lease = ownLease
      ? await keepLease(this.host, this.clock, ttlMs, { renew: false })
      : (this.#grantedLease(ttlMs) ?? (await this.#sharedLease(ttlMs)));
    const request: AcquireRequest = {
      id: `${this.#session.slice(0, 11)}${(this.#asked++).toString(36)}`,
      path,
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
    if (this.#closed !== null) return;
    const closed = new WaymarkError('unavailable', 'the space is closed');
    this.#closed = closed;
    this.#closing.abort(closed);
    for (const asking of [...this.#waiting]) asking.end(closed);
    let disarm = (): void => undefined;
    const late = new Promise<void>((resolve) => {
      disarm = this.clock.after(goodbyeMsMax, resolve, true);
    });
    await Promise.race([this.#giveBack(), late]);
    disarm();
    await this.host[Symbol.asyncDispose]();
    await this.#engine?.[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #giveBack(): Promise<void> {
    const locks = [...this.#locks.values()].flatMap((byPath) => [...byPath.values()].flat());
    await Promise.allSettled(locks.map((lock) => lock.release()));
    const leases = await Promise.allSettled(this.#leases.values());
    await Promise.allSettled(
      leases.map(async (lease) => lease.status === 'fulfilled' && (await lease.value.release())),
    );
  }

  /** Aborts when the space closes. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  checkOpen(): void {
    if (this.#closed !== null) throw this.#closed;
  }

  async #take(
    namespace: string,
    request: AcquireRequest,
    lease: HostLease,
    ownLease: boolean,
    signal: AbortSignal | undefined,
  ): Promise<HeldLock | null> {
    let token: number | null;
    try {
      // It may have aborted while the lease was granted; a free lock is given without a look at it.
      signal?.throwIfAborted();
      const acquiring = this.host.acquire(namespace, request, signal && { signal });
      token = await new Asking(acquiring, lease, this.#waiting).answer;
    } catch (error) {
      if (ownLease) void lease.release().catch(() => undefined);
      else if (isWaymarkError(error, 'lost')) this.#forgetLease(lease);
      throw error;
    }
    if (token === null) return null;
    const { path, tree, mode, id } = request;
    const hold = { path, tree, mode, id };
    const { host } = this;
    const ended = (held: HeldLock): void => this.#forget(namespace, held);
    const parts = { host, watches: this.#watches, namespace, lease, ownLease, hold, token, ended };
    const lock = new HeldLock(parts);
    // A grant that arrives after the lease can no longer be counted on is no grant (rule L3).
    if (!lock.isHeld())
      throw lock.reason ?? new WaymarkError('lost', 'the lease ended while waiting');
    this.#remember(namespace, lock);
    return lock;
  }

  #remember(namespace: string, lock: HeldLock): void {
    const byPath = this.#locks.get(namespace) ?? new Map<ByteString, HeldLock[]>();
    this.#locks.set(namespace, byPath);
    const path = pathToBytes(lock.path);
    const locks = byPath.get(path);
    if (locks === undefined) byPath.set(path, [lock]);
    else locks.push(lock);
  }

  #forget(namespace: string, lock: HeldLock): void {
    const byPath = this.#locks.get(namespace);
    const path = pathToBytes(lock.path);
    const others = byPath?.get(path)?.filter((other) => other !== lock) ?? [];
    if (others.length === 0) byPath?.delete(path);
    else byPath?.set(path, others);
  }

  #grantedLease(ttlMs: number): HostLease | undefined {
    const lease = this.#granted.get(ttlMs);
    return lease?.isHeld() === true ? lease : undefined;
  }

  async #sharedLease(ttlMs: number): Promise<HostLease> {
    const known = this.#leases.get(ttlMs);
    if (known !== undefined) {
      const lease = await known.catch(() => null);
      if (lease?.isHeld() === true) return lease;
      if (this.#leases.get(ttlMs) === known) this.#leases.delete(ttlMs);
      return await this.#sharedLease(ttlMs);
    }
    const fresh = keepLease(this.host, this.clock, ttlMs, { renew: true });
    this.#leases.set(ttlMs, fresh);
    const lease = await fresh;
    this.#granted.set(ttlMs, lease);
    return lease;
  }

  #forgetLease(lease: HostLease): void {
    this.#leases.delete(lease.ttlMs);
    this.#granted.delete(lease.ttlMs);
  }
}
