import {
  bytesToText,
  type KeyRange,
  type LeaseId,
  textToBytes,
  WaymarkError,
} from 'waymark/engine';
import type { Claims } from 'waymark/wire';
import type { Access } from './access.js';
import { permitting, placeOf, touching } from './facets.js';
import { keptBy } from './lease-owner.js';
import { peerActions, type Principal } from './principal.js';
import type { Action } from './rules.js';

/** What a caller shows of itself. */
export interface Shown {
  /** A token counts alone. */
  readonly token?: string | undefined;
  /** Names in a certificate that an authority of ours stands for: the common name first. */
  readonly certificate?: readonly string[] | undefined;
}

export interface Origin {
  readonly face: string;
  /** Address of the other end. */
  readonly from: string;
}

/** What is asked for, as a refusal names it. */
export interface Asked {
  readonly action: string;
  readonly namespace?: string | undefined;
  readonly path?: string | undefined;
}

/**
 * One who asks. What may be is decided here, on rules as they are at the time of each question; faces only say what they are asked for.
 * @see docs/spec/access.md
 */
export class Caller {
  readonly #access: Access;
  readonly #shown: Shown;
  readonly #origin: Origin;
  #known: { readonly principal: Principal | null; readonly generation: number } | null = null;

  constructor(access: Access, shown: Shown, origin: Origin) {
    this.#access = access;
    this.#shown = shown;
    this.#origin = origin;
  }

  /** For the log: null for one who has shown nothing. */
  get user(): string | null {
    return this.#principalOrNull()?.name ?? null;
  }

  /** Whether it is another server over the same engine. */
  get isPeer(): boolean {
    return this.#principalOrNull()?.peer === true;
  }

  /** Whether access is on. */
  get controlled(): boolean {
    return this.#access.on;
  }

  /** It may do everything: access is off, or it is root's. @throws {WaymarkError} `unauthenticated` */
  get unlimited(): boolean {
    return !this.#access.on || this.principal()?.root === true;
  }

  /** @returns null for one who has shown nothing. @throws {WaymarkError} `unauthenticated` for a token that is none */
  principal(): Principal | null {
    const { generation } = this.#access.state;
    const { token } = this.#shown;
    if (this.#known?.generation === generation && !this.#access.mayEnd(token)) {
      return this.#known.principal;
    }
    const principal = this.#identify();
    this.#known = { principal, generation };
    return principal;
  }

  /** @throws {WaymarkError} `unauthenticated` for a token that is none, and where access is on for one who has shown nothing */
  authenticate(asked: Asked = { action: 'connect' }): Principal | null {
    if (!this.#access.on) return null;
    let principal: Principal | null;
    try {
      principal = this.principal();
    } catch (error) {
      throw this.#refused(asked, error as WaymarkError);
    }
    if (principal?.peer === true && !connects.has(asked.action)) throw this.denied(asked);
    if (principal !== null) return principal;
    const how = '--access-token, WAYMARK_ACCESS_TOKEN, or Authorization: Bearer …';
    const text = `access is controlled here: show a token (${how})`;
    throw this.#refused(asked, new WaymarkError('unauthenticated', text));
  }

  /** Asks one question. Access off permits all. @throws {WaymarkError} `unauthenticated`, `denied` */
  demand(asked: Asked, permitted: (principal: Principal) => boolean): void {
    const principal = this.authenticate(asked);
    if (principal === null || principal.root || permitted(principal)) return;
    throw this.denied(asked);
  }

  denied(asked: Asked): WaymarkError {
    const { action, namespace, path } = asked;
    const where = path === undefined ? '' : ` on ${path}`;
    const inside = namespace === undefined ? '' : ` in ${namespace}`;
    const text = `${action}${where}${inside} is not permitted to ${this.user ?? 'you'}`;
    return this.#refused(asked, new WaymarkError('denied', text));
  }

  /** Whether it may look at the server as a whole. */
  get observes(): boolean {
    if (!this.controlled) return true;
    const principal = this.#principalOrNull();
    return principal !== null && (principal.root || principal.rules.observes);
  }

  /** For what is beyond namespaces. */
  demandRoot(action: string): void {
    this.demand({ action }, () => false);
  }

  demandObserving(action: string): void {
    this.demand({ action }, ({ rules }) => rules.observes);
  }

  /** Ranges of keys of a namespace, facet first: all of them, or `denied`. */
  demandKeys(
    action: 'read' | 'watch' | 'write',
    namespace: string,
    ranges: readonly KeyRange[],
  ): void {
    for (const range of ranges) {
      const asked = { action, namespace, path: shownRange(range) };
      this.demand(asked, (principal) => allowsKeys(principal, action, namespace, range));
    }
  }

  /** Ranges that are watched. None: what becomes of the namespace, for who has anything to do with it. */
  demandWatch(namespace: string, ranges: readonly KeyRange[]): void {
    this.demandKeys('watch', namespace, ranges);
    if (ranges.length > 0) return;
    this.demand({ action: 'watch', namespace }, (principal) => principal.names(namespace));
  }

  /** One of the actions on a path, canonical, for a recipe. */
  demandPath(any: readonly Action[], namespace: string, path: string): void {
    const asked = { action: any[0] ?? 'admin', namespace, path };
    this.demand(asked, (principal) => allowsPath(principal, any, namespace, path));
  }

  mayPath(any: readonly Action[], namespace: string, path: string): boolean {
    if (this.unlimited) return true;
    const principal = this.principal();
    return principal !== null && allowsPath(principal, any, namespace, path);
  }

  /** Whether a lease is its own, as far as that is known, and it may touch all that the lease keeps. @param all  its keys, whole ones of the engine */
  mayTouch(all: readonly string[]): boolean {
    if (this.unlimited) return true;
    const principal = this.principal();
    if (principal === null) return false;
    const { owner, keys } = keptBy(all);
    if (owner !== null && owner !== principal.name) return false;
    return keys.every((key) => allowsTouch(principal, key));
  }

  /** A lease that was just granted is its own from now on. @throws as `Engine.commit`; then the lease is gone again */
  async own(lease: LeaseId): Promise<void> {
    if (this.#access.on && this.user !== null) await this.#access.own(lease, this.user);
  }

  /** What its user has over faces whose requests come by any connection; null: that is not counted. */
  get claims(): Claims | null {
    return this.controlled ? this.#access.claims.of(this.#principalOrNull()) : null;
  }

  /** An administrative act. */
  tell(asked: Asked, facts: object = {}): void {
    if (!this.controlled) return;
    this.#access.audit.act({ ...this.#origin, who: this.user, ...asked, ...facts });
  }

  /** Ends what lasts when `check` throws after a change of rules. @returns leaves */
  whileAllowed(check: () => void, end: (error: unknown) => void): () => void {
    return this.#access.standing.add({ check, end });
  }

  #principalOrNull(): Principal | null {
    try {
      return this.principal();
    } catch {
      return null;
    }
  }

  #identify(): Principal | null {
    const { token, certificate = [] } = this.#shown;
    if (token !== undefined) {
      const principal = this.#access.bearer(token);
      if (principal !== null) return principal;
      throw new WaymarkError(
        'unauthenticated',
        'this token is none, or has ended: ask for another',
      );
    }
    const { state } = this.#access;
    const name = certificate.find((one) => state.users.has(one));
    return name === undefined ? null : state.principal(name);
  }

  #refused(asked: Asked, error: WaymarkError): WaymarkError {
    const { certificate } = this.#shown;
    const who = { who: this.user, ...(certificate !== undefined && { certificate }) };
    this.#access.audit.refusal({ ...this.#origin, ...who, ...asked, code: error.code });
    return error;
  }
}

/** Servers among themselves do nothing else. */
const connects: ReadonlySet<string> = new Set(['connect', ...peerActions]);

function allowsKeys(
  principal: Principal,
  action: 'read' | 'watch' | 'write',
  namespace: string,
  range: KeyRange,
): boolean {
  const place = placeOf(range);
  // What spans facets is the namespace as a whole.
  if (place === null) return allowsPath(principal, ['admin'], namespace, '/');
  if (place.data) return principal.allowsData(action, namespace, place.range);
  // Servers connect to what stands there, and show their secret.
  if (place.facet === 'm' && action === 'write') return principal.root;
  const any = action === 'write' ? [] : permitting(action, place);
  return [...any, 'admin' as const].some((one) =>
    principal.allowsPaths(one, namespace, place.range),
  );
}

function allowsPath(
  principal: Principal,
  any: readonly Action[],
  namespace: string,
  path: string,
): boolean {
  const key = path === '/' ? '' : textToBytes(path);
  return any.some((action) => principal.allowsPaths(action, namespace, { key }));
}

function allowsTouch(principal: Principal, key: string): boolean {
  const [, name, rest] = /^n\/([^/]+)\/(.*)$/s.exec(key) ?? [];
  if (name === undefined || rest === undefined) return false;
  const place = placeOf({ key: rest });
  if (place === null) return false;
  const [namespace, action] = [bytesToText(name), touching(place)];
  return place.data
    ? principal.allowsData(action, namespace, place.range)
    : principal.allowsPaths(action, namespace, place.range);
}

/** For people: the path where it is one. */
function shownRange({ key, end }: KeyRange): string {
  const path = key.replace(/^[a-z]+(?=[/\0]|$)/, '').replace(/\0.*$/s, '');
  const shown = path === '' ? '/' : bytesToText(path);
  return end === undefined ? shown : `${shown}…`;
}
