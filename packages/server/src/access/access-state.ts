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
import { type Grant, type Principal, principalOf } from './principal.js';

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
  /** By key, then by end. */
  readonly grants: readonly Grant[];
}

/** Where it all stands, under one prefix: a change touches few keys, and what a deleted role was granted to is one range. */
export class AccessLayout {
  readonly area: KeyRange;
  /** There when access is controlled. */
  readonly enabled: ByteString;
  /** Counts changes. */
  readonly counter: ByteString;
  readonly #prefix: ByteString;

  /** @param prefix  ends in a slash */
  constructor(prefix: ByteString) {
    this.#prefix = prefix;
    this.area = prefixRange(prefix);
    this.enabled = `${prefix}enabled`;
    this.counter = `${prefix}revision`;
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

  constructor(layout: AccessLayout) {
    this.layout = layout;
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
    const grants = roles.flatMap((role) => this.roles.get(role)?.grants ?? []);
    const made = principalOf(name, roles.includes(rootRole), grants);
    this.#principals.set(name, made);
    return made;
  }

  /** @throws {WaymarkError} `corrupt` */
  apply(entries: readonly Entry[], revision: Revision): void {
    for (const entry of entries) this.#applyOne(entry);
    this.revision = revision;
    if (entries.length > 0) this.#principals.clear();
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
    const { kind, name, user } = this.layout.parse(entry.key);
    if (kind === 'user') {
      if (!there) this.users.delete(name);
      else
        this.users.set(name, { name, ...(read(entry) as UserValue), revision: entry.modRevision });
    } else if (kind === 'role') {
      if (!there) this.roles.delete(name);
      else this.roles.set(name, { name, ...(read(entry) as RoleValue) });
    } else if (there) {
      const roles = this.#granted.get(user) ?? new Set();
      this.#granted.set(user, roles.add(name));
    } else this.#granted.get(user)?.delete(name);
  }
}

export type UserValue = Pick<User, 'password'>;
export type RoleValue = Pick<Role, 'grants'>;

/** Names in order of their bytes, which JavaScript's own order is not beyond the basic plane. */
export function inOrder(names: Iterable<string>): readonly string[] {
  return [...names].toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

/** ASCII, and keys, which are byte strings: their JSON is one. */
export function written(value: UserValue | RoleValue | number): ByteString {
  return JSON.stringify(value);
}

function read({ key, value }: Entry): unknown {
  try {
    return JSON.parse(value);
  } catch (error) {
    throw new WaymarkError('corrupt', `what stands at ${key} tells no access rule`, {}, error);
  }
}
