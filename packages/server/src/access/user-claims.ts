import type { Clock, Engine, LeaseId } from 'waymark/engine';
import { type Claim, type ClaimLimits, Claims } from 'waymark/wire';
import type { Principal } from './principal.js';

/** Beyond these the one that was counted first is forgotten. */
const usersMax = 65_536;

/**
 * How many leases and locks each user has made at this server over REST and etcd's API: their requests come on any connection, so that there
 * is none to count by.
 */
export class UserClaims {
  readonly #engine: Pick<Engine, 'lease'>;
  readonly #clock: Clock;
  readonly #limits: ClaimLimits | undefined;
  readonly #users = new Map<string, Claims>();

  constructor(engine: Pick<Engine, 'lease'>, clock: Clock, limits?: ClaimLimits) {
    this.#engine = engine;
    this.#clock = clock;
    this.#limits = limits;
  }

  /** @returns null: nobody is counted, as root is not, and no other server, which passes on what its clients ask */
  of(principal: Principal | null): Claims | null {
    if (principal === null || principal.root || principal.peer) return null;
    return this.#users.get(principal.name) ?? this.#begin(principal.name);
  }

  #begin(name: string): Claims {
    if (this.#users.size >= usersMax) {
      const [first] = this.#users.keys();
      this.#users.delete(first as string);
    }
    const claims = new Claims({
      clock: this.#clock,
      limits: this.#limits,
      locksUnder: (lease) => locksUnder(this.#engine, lease),
    });
    this.#users.set(name, claims);
    return claims;
  }
}

/**
 * Counts what a call does to what its user has.
 * @param claims  null: it is not counted
 * @throws {WaymarkError} `overloaded`: the user has as many as may be
 */
export async function counted<T>(
  claims: Claims | null,
  { claim, args }: { readonly claim: Claim; readonly args?: unknown },
  call: () => Promise<T>,
): Promise<T> {
  const refusal = claims?.begin(claim, args) ?? null;
  if (refusal !== null) throw refusal;
  let value: T | undefined;
  try {
    return (value = await call());
  } finally {
    claims?.settle(claim, value);
  }
}

/** A lock leaves one mark under its lease. */
const mark = /^n\/[^/]+\/h[/\0]/;

/** @returns null: there is no such lease */
export async function locksUnder(
  engine: Pick<Engine, 'lease'>,
  lease: LeaseId,
): Promise<number | null> {
  const state = await engine.lease(lease);
  return state === null ? null : state.keys.filter((key) => mark.test(key)).length;
}
