import type { LeaseId } from '../core/engine.js';
import type { Clock, Random } from '../core/clock.js';
import type { Host } from '../core/host.js';
import { assert, isWaymarkError, unanswered, WaymarkError } from '../core/errors.js';
import { validateTtl } from '../core/validate.js';
import { Asking } from './asking.js';
import { Held, type HeldParts } from './held.js';
import { HostLease, keepLease, type UnderLease } from './kept-lease.js';
import { LateWatches } from './late-watches.js';
import type { HoldCall, KeptLease } from './types.js';

export const ttlMsDefault = 10_000;

/** What every request for a hold says of who asks. */
export interface Asker {
  /** Unique per request. */
  readonly id: string;
  readonly session: string;
  readonly lease: LeaseId;
  readonly owner: string;
}

/** A request for a hold: `ask` sends it and answers with the token, or null; `make` has what was granted. */
export interface HoldRequest<H extends Held> {
  readonly path: string;
  readonly call: HoldCall;
  /** The caller's own lease: the hold ends with it, and it stays when the hold is released. */
  readonly lease?: KeptLease | undefined;
  readonly ask: (asker: Asker) => Promise<number | null>;
  /** Takes away what `ask` may have left behind when its answer does not tell. */
  readonly giveUp: (asker: Asker) => Promise<unknown>;
  readonly make: (parts: HeldParts, asker: Asker) => H;
  /** False: there is nothing to hold once it was waited for, so that a lease that is not renewed bounds the wait. */
  readonly lasts?: boolean | undefined;
}

/** Takes holds for a space: each under a lease that this process keeps, one lease per TTL for all that do not ask for their own. */
export class Holder {
  readonly session: string;
  readonly #host: Host;
  readonly #clock: Clock;
  readonly #owner: string;
  /** Requests so far: with 66 random bits of the session their ids are unique, and short keys are hashed faster. */
  #asked = 0;
  /** One renewed lease per TTL, shared by the holds that ask for it. */
  readonly #leases = new Map<number, Promise<HostLease>>();
  /** Those of them that were granted. */
  readonly #granted = new Map<number, HostLease>();
  /** Leases that new holds no longer ask for, with what is still held under them. */
  readonly #doubted = new Set<HostLease>();
  /** What is held, and who waits, under other leases than the shared ones: those know what is under them. */
  readonly #apart = new Set<Held | Asking<unknown>>();
  readonly #watches: LateWatches;

  constructor(host: Host, clock: Clock, random: Random, owner: string) {
    this.#host = host;
    this.#clock = clock;
    this.#owner = owner;
    this.#watches = new LateWatches(clock);
    this.session = random.id();
  }

  /** @returns null when `ask` did. @throws {WaymarkError} `lost` when the lease ended meanwhile; what `ask` throws */
  async hold<H extends Held>(request: HoldRequest<H>): Promise<H | null> {
    const { path, call, ask, make } = request;
    const ttlMs = call.ttlMs ?? ttlMsDefault;
    validateTtl(ttlMs);
    call.signal?.throwIfAborted();
    const given = request.lease === undefined ? null : theirs(request.lease, call);
    const ownLease = given === null && call.renew === false;
    const lease =
      given ??
      (ownLease
        ? await keepLease(this.#host, this.#clock, ttlMs, { renew: request.lasts !== false })
        : (this.#grantedLease(ttlMs) ?? (await this.#sharedLease(ttlMs))));
    const asker: Asker = {
      id: `${this.session.slice(0, 11)}${(this.#asked++).toString(36)}`,
      session: this.session,
      lease: lease.id,
      owner: call.owner ?? this.#owner,
    };
    let token: number | null;
    let asked = false;
    try {
      // It may have aborted while the lease was granted; what is free is given without a look at it.
      call.signal?.throwIfAborted();
      const apart = ownLease || given !== null ? this.#apart : null;
      asked = true;
      token = await new Asking(ask(asker), lease, apart).answer;
    } catch (error) {
      const aborted = call.signal?.aborted === true;
      if (asked && (aborted || mayStand(error))) void lease.insist(() => request.giveUp(asker));
      if (ownLease) void lease.release().catch(() => undefined);
      else if (given === null && !aborted && isWaymarkError(error, 'lost')) this.#doubt(lease);
      throw error;
    }
    if (token === null) {
      if (ownLease) await lease.release();
      return null;
    }
    if (ownLease) await lease.beginRunOut();
    const watches = this.#watches;
    const held = make({ watches, lease, ownLease, path, token, ended: this.#ended }, asker);
    if (ownLease || given !== null) this.#apart.add(held);
    // A grant that arrives after the lease can no longer be counted on is no grant (rule L3).
    if (held.isHeld()) return held;
    throw held.reason ?? new WaymarkError('lost', 'the lease ended while waiting');
  }

  /** For what is asked for under a lease, and does not last: as `hold`, but the answer is all there is of it. */
  async ask<T>(
    call: HoldCall,
    work: (asker: Asker) => Promise<T>,
    giveUp: (asker: Asker) => Promise<unknown>,
  ): Promise<T> {
    const answers: T[] = [];
    const ask = async (asker: Asker): Promise<null> => {
      answers.push(await work(asker));
      return null;
    };
    const make = (): never => assert(false, 'nothing is held by an answer') as never;
    await this.hold({ path: '/', call, ask, giveUp, make, lasts: false });
    return answers[0] as T;
  }

  /** Ends those who wait, with a reason. */
  endWaiting(reason: WaymarkError): void {
    const shared = [...this.#granted.values(), ...this.#doubted];
    for (const one of this.#under(shared)) if (one instanceof Asking) one.end(reason);
  }

  /** Gives back all that is held, then the leases. */
  async release(): Promise<void> {
    const asked = await Promise.allSettled(this.#leases.values());
    const granted = asked.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const leases = [...granted, ...this.#doubted];
    const held = this.#under(leases).filter((one) => one instanceof Held);
    await Promise.allSettled(held.map((one) => one.release()));
    await Promise.allSettled(leases.map((lease) => lease.release()));
  }

  /** What is under these leases, and under others than the shared ones. */
  #under(leases: readonly HostLease[]): UnderLease[] {
    const under: UnderLease[] = [...this.#apart];
    for (const { losses } of leases) losses.forEach((one) => under.push(one));
    return under;
  }

  readonly #ended = (held: Held): void => {
    if (this.#apart.size > 0) this.#apart.delete(held);
  };

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
    const fresh = keepLease(this.#host, this.#clock, ttlMs, { renew: true });
    this.#leases.set(ttlMs, fresh);
    const lease = await fresh;
    this.#granted.set(ttlMs, lease);
    return lease;
  }

  /** The engine said that it is gone, or only that a place was: others may hold by it, so it is kept until the space closes. */
  #doubt(lease: HostLease): void {
    for (const [ttlMs, granted] of this.#granted) {
      if (granted !== lease) continue;
      this.#granted.delete(ttlMs);
      this.#leases.delete(ttlMs);
      for (const one of this.#doubted) if (!one.isHeld()) this.#doubted.delete(one);
      this.#doubted.add(lease);
    }
  }
}

/** The engine may have been out of reach when the place was to be given up. */
function mayStand(error: unknown): boolean {
  return !isWaymarkError(error) || unanswered(error);
}

/** @throws {WaymarkError} `invalid`; `lost` when it has ended */
function theirs(lease: KeptLease, { ttlMs, renew }: HoldCall): HostLease {
  if (!(lease instanceof HostLease)) {
    throw new WaymarkError('invalid', 'lease takes what space.lease() gave');
  }
  if (ttlMs !== undefined || renew !== undefined) {
    throw new WaymarkError('invalid', 'ttlMs and renew are those of the lease: leave them out');
  }
  if (lease.isHeld()) return lease;
  throw new WaymarkError('lost', 'the lease has ended', { lease: lease.id }, lease.reason);
}
