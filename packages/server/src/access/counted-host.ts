import type {
  AcquireRequest,
  CallOptions,
  GrantOptions,
  HeldKeys,
  Host,
  Lease,
  LeaseId,
  Revision,
} from 'waymark/engine';
import type { Caller } from './caller.js';
import { GuardedHost } from './guarded-host.js';
import { counted } from './user-claims.js';

/** A guarded host for one request, that counts the leases and locks of its user, whatever connection they come by. */
export class CountedHost extends GuardedHost {
  readonly #caller: Caller;

  constructor(host: Host, caller: Caller) {
    super(host, caller);
    this.#caller = caller;
  }

  override grant(ttlMs: number, options?: GrantOptions): Promise<Lease> {
    return counted(this.#caller.claims, { claim: 'lease' }, () => super.grant(ttlMs, options));
  }

  override revoke(id: LeaseId, options?: CallOptions): Promise<{ readonly revision: Revision }> {
    const claim = { claim: 'revoke', args: id } as const;
    return counted(this.#caller.claims, claim, () => super.revoke(id, options));
  }

  override acquire(
    namespace: string,
    request: AcquireRequest,
    options?: CallOptions,
  ): Promise<number | null> {
    const claim = { claim: 'lock', args: { request } } as const;
    return counted(this.#caller.claims, claim, () => super.acquire(namespace, request, options));
  }

  override release(namespace: string, hold: HeldKeys, options?: CallOptions): Promise<boolean> {
    const claim = { claim: 'unlock' } as const;
    return counted(this.#caller.claims, claim, () => super.release(namespace, hold, options));
  }
}
