import {
  bytesToText,
  type ByteString,
  type Entry,
  prefixRange,
  type KeyRange,
  type Revision,
  textToBytes,
  WaymarkError,
} from 'waymark/engine';
import { type Grant, Principal } from './principal.js';
import type { Rule } from './rules.js';

/** The role that may do everything, whether anyone made it or not. */
export const rootRole = 'root';

export interface User {
  readonly name: string;
  /** As `Passwords` hashed it; `''` matches no password, null: a user who never has one. */
  readonly password: string | null;
  /** Of its last change but of roles: tokens from before are void. */
  readonly revision: Revision;
}

export interface Role {
  readonly name: string;
  /** Of etcd's API. By key, then by end. */
  readonly grants: readonly Grant[];
  readonly rules: readonly Rule[];
}

/** What a user shows instead of a password. */
export interface Token {
  readonly id: string;
  readonly user: string;
  /** Of its secret: SHA-256 in hexadecimal. */
  readonly hash: string;
  /** For people. */
  readonly note: string;
  /** Wall clock, ms since 1970. */
  readonly createdAt: number;
  /** Null: never. */
  readonly expiresAt: number | null;
}

/** Where it all stands, under one prefix: a change touches few keys, and what a deleted role was granted to is one range. */
export class AccessLayout {
  readonly area: KeyRange;
  /** There when access is controlled. */
  readonly enabled: ByteString;
  /** Counts changes. */
  readonly counter: ByteString;
  /** What servers of this engine show each other. */
  readonly peers: ByteString;
  readonly #prefix: ByteString;

  /** @param prefix  ends in a slash */
  constructor(prefix: ByteString) {
    this.#prefix = prefix;
    this.area = prefixRange(prefix);
    this.enabled = `${prefix}enabled`;
    this.counter = `${prefix}revision`;
    this.peers = `${prefix}peers`;
  }

  token(id: string): ByteString {
    return `${this.#prefix}token/${textToBytes(id)}`;
  }

  user(name: string): ByteString {
    return `${this.#prefix}user/${textToBytes(name)}`;
  }

  role(name: string): ByteString {
    return `${this.#prefix}role/${textToBytes(name)}`;
  }

  /** That `user` has `role`. The length in front tells where the role's name ends: names are any text. */
  granted(role: string, user: string): ByteString {
    return `${this.grantedTo(role).key}${textToBytes(user)}`;
  }

  grantedTo(role: string): KeyRange {
    const bytes = textToBytes(role);
    return prefixRange(`${this.#prefix}granted/${bytes.length}:${bytes}`);
  }

  /** @returns the kind of an entry and the name in it, or both names */
  parse(key: ByteString): { kind: string; name: string; user: string } {
    const [kind = '', ...rest] = key.slice(this.#prefix.length).split('/');
    const name = rest.join('/');
    if (kind !== 'granted') return { kind, name: bytesToText(name), user: '' };
    const colon = name.indexOf(':');
    const end = colon + 1 + Number(name.slice(0, colon));
    const [role, user] = [name.slice(colon + 1, end), name.slice(end)];
    return { kind, name: bytesToText(role), user: bytesToText(user) };
  }
}

/** Who there is and what they may do, as of one revision. */
export class AccessState {
  readonly layout: AccessLayout;
  /** The namespace that grants of etcd's API are about. */
  readonly grantedIn: string;
  readonly tokens = new Map<string, Token>();
  readonly users = new Map<string, User>();
  readonly roles = new Map<string, Role>();
  /** Everything up to this revision is in it. */
  revision: Revision = 0;
  /** Since when access is controlled; 0: it is not. */
  enabledAt: Revision = 0;
  /** Changes so far, beginning at 1. */
  count = 1;
  /** Of the last counted change. */
  countedAt: Revision = 0;
  readonly #granted = new Map<string, Set<string>>();
  readonly #principals = new Map<string, Principal>();

  /** The secret that servers show each other; null: none was made yet. */
  peerSecret: string | null = null;
  /** Grows with each change: what was worked out of the state before is void. */
  generation = 0;

  constructor(layout: AccessLayout, grantedIn: string) {
    this.layout = layout;
    this.grantedIn = grantedIn;
  }

  /** Nobody has set anything up. */
  get empty(): boolean {
    return this.users.size === 0 && this.roles.size === 0 && !this.enabled && this.countedAt === 0;
  }

  get enabled(): boolean {
    return this.enabledAt > 0;
  }

  /** In order of their bytes. */
  rolesOf(user: string): readonly string[] {
    return inOrder(this.#granted.get(user) ?? []);
  }

  hasRole(user: string, role: string): boolean {
    return this.#granted.get(user)?.has(role) === true;
  }

  /** @returns null: there is no such user */
  principal(name: string): Principal | null {
    const known = this.#principals.get(name);
    if (known !== undefined) return known;
    if (!this.users.has(name)) return null;
    const roles = this.rolesOf(name);
    const had = roles.flatMap((role) => this.roles.get(role) ?? []);
    const made = new Principal(name, {
      root: roles.includes(rootRole),
      grants: had.flatMap(({ grants }) => grants),
      rules: had.flatMap(({ rules }) => rules),
      grantedIn: this.grantedIn,
    });
    this.#principals.set(name, made);
    return made;
  }

  /** @throws {WaymarkError} `corrupt` */
  apply(entries: readonly Entry[], revision: Revision): void {
    for (const entry of entries) this.#applyOne(entry);
    this.revision = revision;
    if (entries.length === 0) return;
    this.#principals.clear();
    this.generation++;
  }

  #applyOne(entry: Entry): void {
    const there = entry.version > 0;
    if (entry.key === this.layout.enabled) {
      this.enabledAt = there ? entry.createRevision : 0;
      return;
    }
    if (entry.key === this.layout.counter) {
      this.count = there ? (read(entry) as number) : 1;
      this.countedAt = there ? entry.modRevision : 0;
      return;
    }
    if (entry.key === this.layout.peers) {
      this.peerSecret = there ? (read(entry) as string) : null;
      return;
    }
    const { kind, name, user } = this.layout.parse(entry.key);
    if (kind === 'user') {
      if (!there) this.users.delete(name);
      else
        this.users.set(name, { name, ...(read(entry) as UserValue), revision: entry.modRevision });
    } else if (kind === 'role') {
      if (!there) this.roles.delete(name);
      else {
        // Roles that were made before there were rules have none.
        const { grants, rules = [] } = read(entry) as Partial<RoleValue> &
          Pick<RoleValue, 'grants'>;
        this.roles.set(name, { name, grants, rules });
      }
    } else if (kind === 'token') {
      if (!there) this.tokens.delete(name);
      else this.tokens.set(name, { id: name, ...(read(entry) as TokenValue) });
    } else if (there) {
      const roles = this.#granted.get(user) ?? new Set();
      this.#granted.set(user, roles.add(name));
    } else this.#granted.get(user)?.delete(name);
  }
}

export type UserValue = Pick<User, 'password'>;
export type RoleValue = Pick<Role, 'grants' | 'rules'>;
export type TokenValue = Omit<Token, 'id'>;

/** Names in order of their bytes, which JavaScript's own order is not beyond the basic plane. */
export function inOrder(names: Iterable<string>): readonly string[] {
  return [...names].toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

/** Keys are byte strings, and their JSON is one; what is beyond them is escaped. */
export function written(value: UserValue | RoleValue | TokenValue | number | string): ByteString {
  const escaped = (char: string): string =>
    `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(value).replace(/[\u0100-\uffff]/g, escaped);
}

function read({ key, value }: Entry): unknown {
  try {
    return JSON.parse(value);
  } catch (error) {
    throw new WaymarkError('corrupt', `what stands at ${key} tells no access rule`, {}, error);
  }
}
