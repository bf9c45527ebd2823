import { type KeyRange, type Operation, WaymarkError } from 'waymark/engine';
import {
  type AccessLayout,
  type AccessState,
  type Role,
  rootRole,
  type Token,
  written,
} from './access-state.js';
import type { Edit } from './access-store.js';
import { accessLimits } from './limits.js';
import type { Grant } from './principal.js';
import { type Rule, sameSubject } from './rules.js';

/** The user without whom nobody could change anything while access is controlled. */
export const rootUser = 'root';

/** Why a change is refused. Each face says it in its own words. */
export type Refusal =
  | 'root_user_absent'
  | 'root_role_absent'
  | 'root_needed'
  | 'user_exists'
  | 'user_absent'
  | 'role_exists'
  | 'role_absent'
  | 'role_not_granted'
  | 'grant_absent'
  | 'token_absent';

/** A change that the state does not admit. */
export class AccessRefusal extends Error {
  override readonly name = 'AccessRefusal';
  readonly reason: Refusal;

  constructor(reason: Refusal) {
    super(`refused: ${reason}`);
    this.reason = reason;
  }
}

/**
 * Changes of users, roles and grants, each decided on a state: what is to be written, nothing when it is so already.
 * @throws {AccessRefusal | WaymarkError} `too_large` when a limit is passed
 */
export class AccessEdits {
  readonly #layout: AccessLayout;

  constructor(layout: AccessLayout) {
    this.#layout = layout;
  }

  enable(state: AccessState): Edit {
    if (state.enabled) return unchanged;
    if (!state.users.has(rootUser)) throw new AccessRefusal('root_user_absent');
    if (!state.hasRole(rootUser, rootRole)) throw new AccessRefusal('root_role_absent');
    // Whoever had the servers' secret while everyone could read it has nothing by it.
    return { operations: [put(this.#layout.enabled), this.#dropPeers()], counted: false };
  }

  disable(state: AccessState): Edit {
    return state.enabled ? edit(drop({ key: this.#layout.enabled })) : unchanged;
  }

  /** @param password  hashed; null: the user never has one */
  addUser(state: AccessState, name: string, password: string | null): Edit {
    if (state.users.has(name)) throw new AccessRefusal('user_exists');
    within('nameBytesMax', Buffer.byteLength(name));
    within('usersMax', state.users.size + 1);
    return edit(put(this.#layout.user(name), written({ password })));
  }

  changePassword(state: AccessState, name: string, password: string): Edit {
    const user = state.users.get(name);
    if (user === undefined) throw new AccessRefusal('user_absent');
    const kept = user.password === null ? null : password;
    return edit(put(this.#layout.user(name), written({ password: kept })));
  }

  deleteUser(state: AccessState, name: string): Edit {
    if (state.enabled && name === rootUser) throw new AccessRefusal('root_needed');
    if (!state.users.has(name)) throw new AccessRefusal('user_absent');
    const granted = state.rolesOf(name).map((role) => this.#layout.granted(role, name));
    const tokens = [...state.tokens.values()].filter(({ user }) => user === name);
    const shown = tokens.map(({ id }) => this.#layout.token(id));
    return edit(...[this.#layout.user(name), ...granted, ...shown].map((key) => drop({ key })));
  }

  grantRole(state: AccessState, user: string, role: string): Edit {
    if (!state.users.has(user)) throw new AccessRefusal('user_absent');
    if (role !== rootRole && !state.roles.has(role)) throw new AccessRefusal('role_absent');
    if (state.hasRole(user, role)) return unchanged;
    within('rolesPerUserMax', state.rolesOf(user).length + 1);
    return edit(put(this.#layout.granted(role, user)));
  }

  revokeRole(state: AccessState, user: string, role: string): Edit {
    const needed = state.enabled && user === rootUser && role === rootRole;
    if (needed) throw new AccessRefusal('root_needed');
    if (!state.users.has(user)) throw new AccessRefusal('user_absent');
    if (!state.hasRole(user, role)) throw new AccessRefusal('role_not_granted');
    return edit(drop({ key: this.#layout.granted(role, user) }));
  }

  addRole(state: AccessState, name: string): Edit {
    if (state.roles.has(name)) throw new AccessRefusal('role_exists');
    within('nameBytesMax', Buffer.byteLength(name));
    within('rolesMax', state.roles.size + 1);
    return edit(put(this.#layout.role(name), written({ grants: [], rules: [] })));
  }

  deleteRole(state: AccessState, name: string): Edit {
    if (state.enabled && name === rootRole) throw new AccessRefusal('root_needed');
    if (!state.roles.has(name)) throw new AccessRefusal('role_absent');
    return edit(drop({ key: this.#layout.role(name) }), drop(this.#layout.grantedTo(name)));
  }

  /** Instead of what was granted on the same range. */
  addGrant(state: AccessState, name: string, grant: Grant): Edit {
    const role = state.roles.get(name);
    if (role === undefined) throw new AccessRefusal('role_absent');
    const others = role.grants.filter(({ range }) => !sameRange(range, grant.range));
    within('grantsPerRoleMax', others.length + 1);
    const grants = [...others, grant].toSorted(byRange);
    return edit(this.#role({ ...role, grants }));
  }

  removeGrant(state: AccessState, name: string, range: KeyRange): Edit {
    const role = state.roles.get(name);
    if (role === undefined) throw new AccessRefusal('role_absent');
    const grants = role.grants.filter((grant) => !sameRange(grant.range, range));
    if (grants.length === role.grants.length) throw new AccessRefusal('grant_absent');
    return edit(this.#role({ ...role, grants }));
  }

  /** Instead of what was permitted on the same path or index. The role is made where there is none. */
  addRule(state: AccessState, name: string, rule: Rule): Edit {
    const role = state.roles.get(name) ?? { name, grants: [], rules: [] };
    if (!state.roles.has(name)) this.addRole(state, name);
    const rules = [...role.rules.filter((one) => !sameSubject(one, rule)), rule];
    within('grantsPerRoleMax', rules.length);
    return edit(this.#role({ ...role, rules }));
  }

  removeRule(state: AccessState, name: string, rule: Rule): Edit {
    const role = state.roles.get(name);
    if (role === undefined) throw new AccessRefusal('role_absent');
    const rules = role.rules.filter((one) => !sameSubject(one, rule));
    if (rules.length === role.rules.length) throw new AccessRefusal('grant_absent');
    return edit(this.#role({ ...role, rules }));
  }

  /** For a user that is made where there is none, and has these roles then beside its own. */
  addToken(state: AccessState, token: Token, roles: readonly string[]): Edit {
    within('tokensKeptMax', state.tokens.size + 1);
    const made = state.users.has(token.user)
      ? []
      : this.addUser(state, token.user, null).operations;
    const granted = roles.filter((role) => !state.hasRole(token.user, role));
    const absent = granted.find((role) => role !== rootRole && !state.roles.has(role));
    if (absent !== undefined) throw new AccessRefusal('role_absent');
    within('rolesPerUserMax', state.rolesOf(token.user).length + granted.length);
    const { id, ...value } = token;
    return edit(
      ...made,
      ...granted.map((role) => put(this.#layout.granted(role, token.user))),
      put(this.#layout.token(id), written(value)),
    );
  }

  removeToken(state: AccessState, id: string): Edit {
    if (!state.tokens.has(id)) throw new AccessRefusal('token_absent');
    return edit(drop({ key: this.#layout.token(id) }));
  }

  /** What servers of the engine show each other. */
  keepPeerSecret(state: AccessState, secret: string): Edit {
    return state.peerSecret === null ? edit(put(this.#layout.peers, written(secret))) : unchanged;
  }

  /** Each may make another then. */
  dropPeerSecret(state: AccessState): Edit {
    return state.peerSecret === null ? unchanged : edit(this.#dropPeers());
  }

  #dropPeers(): Operation {
    return drop({ key: this.#layout.peers });
  }

  #role({ name, grants, rules }: Role): Operation {
    return put(this.#layout.role(name), written({ grants, rules }));
  }
}

const unchanged: Edit = { operations: [] };

function edit(...operations: readonly Operation[]): Edit {
  return { operations };
}

function put(key: string, value = ''): Operation {
  return { type: 'put', key, value };
}

function drop(range: KeyRange): Operation {
  return { type: 'delete', ...range };
}

function sameRange(a: KeyRange, b: KeyRange): boolean {
  return a.key === b.key && a.end === b.end;
}

function byRange(a: Grant, b: Grant): number {
  if (a.range.key !== b.range.key) return a.range.key < b.range.key ? -1 : 1;
  return (a.range.end ?? '') < (b.range.end ?? '') ? -1 : 1;
}

function within(limit: keyof typeof accessLimits, actual: number): void {
  const max = accessLimits[limit];
  if (actual <= max) return;
  throw new WaymarkError('too_large', `${limit} is ${max}`, { limit, max, actual });
}
