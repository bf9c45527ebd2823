import { type Clock, type Engine, type LeaseId, type Random } from 'waymark/engine';
import type { ClaimLimits } from 'waymark/wire';
import { AccessEdits, rootUser } from './access-edits.js';
import { AccessLayout, type AccessState, rootRole, type Token } from './access-state.js';
import { AccessStore } from './access-store.js';
import { AuditLog } from './audit-log.js';
import { ownerPut } from './lease-owner.js';
import { type PasswordCost, Passwords } from './passwords.js';
import { Principal } from './principal.js';
import { makeToken, sameText, secretMatches, tokenId } from './secrets.js';
import { Standing } from './standing.js';
import { Tokens } from './tokens.js';
import { UserClaims } from './user-claims.js';

export interface AccessOptions {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly random: Random;
  /** Where it is kept in the engine: no path may name anything there. Ends in a slash. Default that of etcd's users, who are these. */
  readonly prefix?: string | undefined;
  /** The namespace that permissions of etcd's API are about. Default `etcd`. */
  readonly grantedIn?: string | undefined;
  /** Takes the lines of the audit log. Default: nobody. */
  readonly audit?: ((line: string) => void) | undefined;
  /** Default: those of a connection of the binary protocol. */
  readonly claims?: ClaimLimits | undefined;
  /** What new passwords take to hash. Default: what people's need (passwords.ts). */
  readonly passwordCost?: PasswordCost | undefined;
}

export interface TokenWish {
  readonly user: string;
  readonly roles?: readonly string[] | undefined;
  readonly note?: string | undefined;
  /** Default: never. */
  readonly ttlMs?: number | undefined;
}

/** Beside all namespaces, where no path leads. */
const defaultPrefix = 'w/etcd/auth/';
/** What a server shows another one. */
const peerStem = 'wmp_';
/** How the audit log names one. */
const peerName = '(server)';

/** Who may do what: users, roles, rules and tokens in the engine, tokens for passwords in this process. */
export class Access implements AsyncDisposable {
  readonly store: AccessStore;
  readonly edits: AccessEdits;
  readonly passwords: Passwords;
  readonly tokens: Tokens;
  readonly audit: AuditLog;
  readonly standing: Standing;
  readonly claims: UserClaims;
  readonly #engine: Engine;
  readonly #clock: Clock;
  #required = false;
  readonly #random: Random;
  readonly #peer: Principal;
  readonly #unlisten: () => void;

  private constructor(store: AccessStore, options: AccessOptions) {
    const { engine, clock, random, audit = () => {} } = options;
    this.#engine = engine;
    this.store = store;
    this.edits = new AccessEdits(store.layout);
    this.passwords = new Passwords(random, undefined, options.passwordCost);
    this.tokens = new Tokens(clock, random);
    this.audit = new AuditLog(clock, audit);
    this.claims = new UserClaims(engine, clock, options.claims);
    this.standing = new Standing(clock, () => this.on && this.#someEnd);
    this.#clock = clock;
    this.#random = random;
    this.#peer = new Principal(peerName, { root: false, grantedIn: '', peer: true });
    this.#unlisten = store.onChange(this.standing.look);
  }

  /** @throws {WaymarkError} `corrupt`, `unavailable` */
  static async open(options: AccessOptions): Promise<Access> {
    const { prefix = defaultPrefix, grantedIn = 'etcd' } = options;
    const layout = new AccessLayout(prefix);
    return new Access(await AccessStore.open({ ...options, layout, grantedIn }), options);
  }

  get state(): AccessState {
    return this.store.state;
  }

  /** Whether it is controlled who does what. */
  get on(): boolean {
    return this.#required || this.state.enabled;
  }

  get required(): boolean {
    return this.#required;
  }

  /** It stays on here, also when it is switched off: the server is reached from elsewhere because of it. */
  require(): void {
    this.#required = true;
  }

  /**
   * Shows a password for a token.
   * @returns null: no such user, or another password
   * @throws {WaymarkError} `too_large`, `overloaded`
   */
  async logIn(name: string, password: string): Promise<string | null> {
    for (;;) {
      const user = this.state.users.get(name);
      const right = await this.passwords.matches(password, user?.password ?? null);
      const now = this.state.users.get(name);
      // The password may be another by the time that it was compared.
      if (now?.revision !== user?.revision) continue;
      return right && now !== undefined ? this.tokens.give(now, this.state) : null;
    }
  }

  /** @returns null: the token stands for nobody */
  bearer(shown: string): Principal | null {
    const token = shown.replace(/^bearer +/i, '');
    if (token.startsWith(peerStem)) return this.#isPeer(token) ? this.#peer : null;
    const name = token.startsWith('wmk_')
      ? this.#owner(token)
      : this.tokens.userOf(token, this.state);
    return name === null ? null : this.state.principal(name);
  }

  /** Whether time alone could end what the token stands for: then it is looked at each time. */
  mayEnd(token: string | undefined): boolean {
    if (token === undefined) return false;
    const id = tokenId(token);
    return id === null || this.state.tokens.get(id)?.expiresAt !== null;
  }

  /** Makes a token; its user is made where there is none. @throws {AccessRefusal | WaymarkError} */
  async giveToken({
    user,
    roles = [],
    note = '',
    ttlMs,
  }: TokenWish): Promise<{ readonly token: string; readonly kept: Token }> {
    const { id, token, hash } = makeToken(this.#random);
    const createdAt = this.#clock.wallNow();
    const expiresAt = ttlMs === undefined ? null : createdAt + ttlMs;
    const kept = { id, user, hash, note, createdAt, expiresAt };
    await this.store.change((state) => this.edits.addToken(state, kept, roles));
    return { token, kept };
  }

  /**
   * Switches access on; whoever is to change anything then has the role `root`.
   * @returns a token of the user `root` where nobody had one, shown here alone
   */
  async enable(): Promise<string | null> {
    const ofRoot = [...this.state.tokens.values()].some(({ user }) => user === rootUser);
    const wanted = !ofRoot && (this.state.users.get(rootUser)?.password ?? '') === '';
    const made = wanted ? await this.giveToken({ user: rootUser, roles: [rootRole] }) : null;
    if (!this.state.users.has(rootUser)) {
      await this.store.change((state) => this.edits.addUser(state, rootUser, null));
    }
    await this.store.change((state) => this.edits.grantRole(state, rootUser, rootRole));
    await this.store.change((state) => this.edits.enable(state));
    return made?.token ?? null;
  }

  /** @returns one more token of the user `root`, who is made where there is none */
  async recover(): Promise<string> {
    return (await this.giveToken({ user: rootUser, roles: [rootRole] })).token;
  }

  /** What this server shows others over the same engine; undefined while access is off. */
  async peerToken(): Promise<string | undefined> {
    if (!this.on) return undefined;
    if (this.state.peerSecret === null) {
      const { token } = makeToken(this.#random);
      await this.store.change((state) => this.edits.keepPeerSecret(state, token));
    }
    return `${peerStem}${this.state.peerSecret}`;
  }

  /** Servers show each other another secret from now on, made by the first that needs one: what was shown before is good for nothing. */
  async renewPeers(): Promise<void> {
    await this.store.change((state) => this.edits.dropPeerSecret(state));
  }

  /** A lease that was just granted is the user's, or goes again. @throws as `Engine.commit` */
  async own(lease: LeaseId, user: string): Promise<void> {
    try {
      await this.#engine.commit({ apply: [ownerPut(lease, user)] });
    } catch (error) {
      await this.#engine.revoke(lease).catch(() => undefined);
      throw error;
    }
  }

  #isPeer(token: string): boolean {
    const { peerSecret } = this.state;
    return peerSecret !== null && sameText(token, `${peerStem}${peerSecret}`);
  }

  #owner(token: string): string | null {
    const known = this.state.tokens.get(tokenId(token) ?? '');
    if (!secretMatches(token, known?.hash) || known === undefined) return null;
    const { expiresAt, user } = known;
    return expiresAt === null || this.#clock.wallNow() < expiresAt ? user : null;
  }

  get #someEnd(): boolean {
    if (this.tokens.size > 0) return true;
    return [...this.state.tokens.values()].some(({ expiresAt }) => expiresAt !== null);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#unlisten();
    this.standing.close();
    await this.store[Symbol.asyncDispose]();
  }
}
