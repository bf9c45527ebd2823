import { prefixRange, type KeyRange, toLeaseId } from 'waymark/engine';
import type { Claims } from 'waymark/wire';
import type { Access } from '../access/access.js';
import { type Kept, keptBy } from '../access/lease-owner.js';
import { Principal } from '../access/principal.js';
import type { Action } from '../access/rules.js';
import type { Call } from '../grpc/call.js';
import { etcdError, isAbsentLease } from './errors.js';
import type { Ground } from './ground.js';
import { certificateNames } from '../access/certificate.js';
import { bareKeysOf } from './key-area.js';

/** Metadata that a token comes in; the second is that of the JSON gateway. */
const tokenKeys = ['token', 'authorization'] as const;

/** Metadata of what came as JSON: such a call is nobody's without a token, whatever certificate its connection has. */
export const gatewayKey = 'grpcgateway-accept';

/**
 * Who makes a call, as rules ask about them. Each question throws what etcd answers when the caller may not.
 * @throws {GrpcError} `invalid auth token`, `user name is empty`, `permission denied`, `revision of auth store is old`
 */
export class Caller {
  readonly #ground: Ground;
  readonly #access: Access;
  readonly #call: Call;
  #known: { readonly principal: Principal | null; readonly count: number } | null = null;
  #reads = false;

  constructor(ground: Ground, access: Access, call: Call) {
    this.#ground = ground;
    this.#access = access;
    this.#call = call;
  }

  /** Whether the answer is void when rules change while it is made. */
  get reads(): boolean {
    return this.#reads;
  }

  /** Empty for one without a token. */
  get name(): string {
    return this.#principal()?.name ?? '';
  }

  /** What its user has made; null: that is not counted. */
  get claims(): Claims | null {
    return this.#access.claims.of(this.#principal());
  }

  /** A token that is shown must be good; none is none. */
  token(): void {
    this.#principal();
  }

  user(): Principal {
    const principal = this.#principal();
    if (principal === null) throw etcdError('userEmpty');
    return principal;
  }

  root(): void {
    const { name, root } = this.user();
    // A certificate may name a user that there is not.
    if (!this.#access.state.users.has(name)) throw etcdError('userNotFound');
    if (!root) throw etcdError('permissionDenied');
  }

  hasRole(role: string): boolean {
    return this.#access.state.hasRole(this.name, role);
  }

  may(action: Action, range: KeyRange): void {
    if (!this.user().allowsData(action, this.#ground.namespace, range))
      throw etcdError('permissionDenied');
  }

  mayAllBelow(action: Action, prefix: string): void {
    this.may(action, prefixRange(prefix));
  }

  /** May do this to every key of a lease; one without keys is whose it is. One that is not there is anybody's. */
  async mayLease(action: Action, id: bigint): Promise<void> {
    if (id === 0n || this.user().root) return;
    const { owner, keys } = await this.#kept(id);
    if (keys.length === 0 && this.#isOthers(owner)) throw etcdError('leaseNotFound');
    const own = bareKeysOf(this.#ground.namespace, keys);
    // What others keep alive by it, in other namespaces or as the library does, is no etcd key that could be permitted.
    if (own.length < keys.length) throw etcdError('permissionDenied');
    for (const key of own) this.may(action, { key });
    this.stillValid();
  }

  /** May know that it is there. */
  async maySee(id: bigint): Promise<void> {
    if (this.user().root || !this.#isOthers((await this.#kept(id)).owner)) return;
    try {
      await this.mayLease('read', id);
    } catch {
      throw etcdError('leaseNotFound');
    }
  }

  async mayReadAllLeases(): Promise<void> {
    this.readsOnly();
    if (this.user().root) return;
    try {
      for (const id of await this.#ground.engine.leases({ signal: this.#call.signal })) {
        await this.mayLease('read', BigInt(id));
      }
    } catch (error) {
      throw isAbsentLease(error) ? etcdError('permissionDenied') : error;
    }
  }

  /** Nothing is changed by the call: its answer can be thrown away. */
  readsOnly(): void {
    this.#reads = true;
  }

  /** Rules that changed since the caller was looked at may have been about them. */
  stillValid(): void {
    if (this.#known !== null && this.#known.count !== this.#access.state.count) {
      throw etcdError('authOldRevision');
    }
  }

  async #kept(id: bigint): Promise<Kept> {
    const state = await this.#ground.host.lease(toLeaseId(id), { signal: this.#call.signal });
    return keptBy(state?.keys ?? []);
  }

  #isOthers(owner: string | null): boolean {
    return owner !== null && owner !== this.name;
  }

  #principal(): Principal | null {
    if (this.#known !== null) {
      this.stillValid();
      return this.#known.principal;
    }
    const { count } = this.#access.state;
    const principal = this.#bearer();
    this.#known = { principal, count };
    return principal;
  }

  #bearer(): Principal | null {
    for (const key of tokenKeys) {
      const token = this.#call.metadata(key);
      if (token === undefined) continue;
      const principal = this.#access.bearer(token);
      // What servers show each other is good for none of this.
      if (principal === null || principal.peer) throw etcdError('invalidAuthToken');
      return principal;
    }
    return this.#certified();
  }

  /** Who shows a certificate and no token is the user of that name; whoever has none may do nothing. */
  #certified(): Principal | null {
    if (this.#call.metadata(gatewayKey) !== undefined) return null;
    const names = certificateNames(this.#call.socket);
    const { state } = this.#access;
    const name = names?.find((one) => state.users.has(one)) ?? names?.[0] ?? '';
    if (name === '') return null;
    const { grantedIn } = state;
    return state.principal(name) ?? new Principal(name, { root: false, grantedIn });
  }
}
