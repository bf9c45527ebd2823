import type { HeldKeys, HoldEnd, Host, LockMode } from '../core/host.js';
import { WaymarkError } from '../core/errors.js';
import { lostHold } from '../recipes/lock-writes.js';
import type { HostLease, UnderLease } from './kept-lease.js';
import type { Lasting, LateWatches } from './late-watches.js';
import type { Call, Lock } from './types.js';

export interface HeldLockParts {
  readonly host: Host;
  readonly watches: LateWatches;
  readonly namespace: string;
  readonly lease: HostLease;
  /** The lease is this lock's alone, and goes with it. */
  readonly ownLease: boolean;
  readonly hold: HeldKeys;
  readonly token: number;
  /** Told once it is released or lost. */
  readonly ended: (lock: HeldLock) => void;
}

/** A granted lock. Its signal aborts when it is lost, never by its own release. A lost lock never comes back. */
export class HeldLock implements Lock, Lasting, UnderLease {
  readonly path: string;
  readonly tree: boolean;
  readonly #parts: HeldLockParts;
  /** Made when somebody asks for the signal. */
  #lost: AbortController | undefined;
  #keys: HeldKeys;
  #token: number;
  #reason: WaymarkError | undefined;
  #released = false;
  #unwatch: (() => void) | undefined;

  constructor(parts: HeldLockParts) {
    this.#parts = parts;
    this.#keys = parts.hold;
    this.#token = parts.token;
    this.path = this.#keys.path;
    this.tree = this.#keys.tree;
    parts.watches.add(this);
    parts.lease.losses.add(this);
  }

  get token(): number {
    return this.#token;
  }

  get mode(): LockMode {
    return this.#keys.mode;
  }

  get signal(): AbortSignal {
    this.isHeld();
    this.#lost ??= new AbortController();
    if (this.#reason !== undefined && !this.#lost.signal.aborted) this.#lost.abort(this.#reason);
    return this.#lost.signal;
  }

  get reason(): WaymarkError | undefined {
    this.isHeld();
    return this.#reason;
  }

  remainingMs(): number {
    return this.isHeld() ? this.#parts.lease.remainingMs() : 0;
  }

  isHeld(): boolean {
    if (this.#released || this.#reason !== undefined) return false;
    if (this.#parts.lease.isHeld()) return true;
    this.leaseLost();
    return false;
  }

  async release(): Promise<boolean> {
    if (this.#released) return false;
    const held = this.isHeld();
    this.#end();
    const { host, namespace, lease, ownLease } = this.#parts;
    if (!held) return false;
    const released = await host.release(namespace, this.#keys);
    if (ownLease) await lease.release();
    return released;
  }

  async upgrade(call: Call & { readonly waitMs?: number | undefined } = {}): Promise<void> {
    await this.#convert('exclusive', call);
  }

  async downgrade(call: Call = {}): Promise<void> {
    await this.#convert('shared', call);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  async #convert(
    mode: LockMode,
    call: Call & { readonly waitMs?: number | undefined },
  ): Promise<void> {
    if (!this.isHeld()) throw this.#reason ?? lostHold(this.path);
    const { host, namespace } = this.#parts;
    this.#endWatch();
    try {
      const { signal, waitMs } = call;
      this.#token = await host.convert(namespace, this.#keys, { mode, waitMs }, { signal });
      this.#keys = { ...this.#keys, mode };
    } finally {
      if (!this.#released && this.#reason === undefined) this.#parts.watches.add(this);
    }
  }

  /** Watches for being taken away. */
  startWatch(): void {
    const { host, namespace } = this.#parts;
    const told = (end: HoldEnd): void => {
      const why = end.kind === 'forced' ? `was taken away: ${end.detail}` : `ended: ${end.detail}`;
      this.#lose(new WaymarkError('lost', `the lock on ${this.path} ${why}`, { path: this.path }));
    };
    this.#unwatch = host.watchHold(namespace, this.#keys, told);
  }

  #endWatch(): void {
    this.#parts.watches.remove(this);
    this.#unwatch?.();
    this.#unwatch = undefined;
  }

  leaseLost(): void {
    const { lease } = this.#parts;
    const why = lease.reason?.message ?? 'its lease was released';
    const facts = { path: this.path, lease: lease.id };
    this.#lose(
      new WaymarkError('lost', `the lock on ${this.path} ended: ${why}`, facts, lease.reason),
    );
  }

  #lose(reason: WaymarkError): void {
    if (this.#released || this.#reason !== undefined) return;
    this.#reason = reason;
    this.#detach();
    this.#lost?.abort(reason);
  }

  #end(): void {
    this.#released = true;
    this.#detach();
  }

  #detach(): void {
    this.#endWatch();
    this.#parts.lease.losses.delete(this);
    this.#parts.ended(this);
  }
}
