import { setMaxListeners } from 'node:events';
import type { Clock } from '../core/clock.js';
import type { LeaseId } from '../core/engine.js';
import type { Host } from '../core/host.js';
import { isWaymarkError, unanswered, WaymarkError } from '../core/errors.js';
import { pause } from '../core/pause.js';
import { Slab } from '../core/slab.js';
import type { KeptLease } from './types.js';

/**
 * When this process stops believing in a lease: the send time of the last successful renewal (the engine counts from receipt, which
 * is later) plus the TTL, less 1 % for clocks that run apart and 20 ms for the way from the check to its use. Monotonic
 * time alone: a wall clock that steps changes nothing. A timer proves nothing after a pause, so every question compares clocks.
 */
const driftShare = 0.01;
const marginMs = 20;
/** A renewal goes out when a third of the TTL has passed; a failed one is tried again after a tenth. */
const renewShare = 1 / 3;
const retryShare = 1 / 10;
/** What took no longer than this share of the TTL did not wait: its TTL counts from the grant of the lease, and costs no renewal. */
const waitedShare = 1 / 20;

/** Between two tries to give something back. */
const insistMs = 100;
const insistMsMax = 5_000;

export async function keepLease(
  host: Host,
  clock: Clock,
  ttlMs: number,
  options: { readonly renew: boolean; readonly signal?: AbortSignal | undefined },
): Promise<HostLease> {
  const sentAt = clock.now();
  const { id, ttlMs: granted } = await host.grant(ttlMs, { signal: options.signal });
  const lease = new HostLease(host, clock, id, granted, sentAt, options.renew);
  if (lease.isHeld()) return lease;
  throw new WaymarkError('lost', 'the grant of the lease took longer than its TTL', { lease: id });
}

/** What ends with a lease. */
export interface UnderLease {
  leaseLost(): void;
}

export class HostLease implements KeptLease {
  readonly id: LeaseId;
  readonly ttlMs: number;
  /** Told when the lease is lost, by every lock under it: a listener of `signal` costs ten times as much. */
  readonly losses = new Slab<UnderLease>();
  readonly #host: Host;
  readonly #clock: Clock;
  readonly #ended = new AbortController();
  #deadline: number;
  #released = false;
  #reason: WaymarkError | undefined;
  #renewing: boolean;
  #disarmRenewal: (() => void) | undefined;
  #disarmDeadline: (() => void) | undefined;

  constructor(
    host: Host,
    clock: Clock,
    id: LeaseId,
    ttlMs: number,
    sentAt: number,
    renew: boolean,
  ) {
    this.#host = host;
    this.#clock = clock;
    this.id = id;
    this.ttlMs = ttlMs;
    // Whoever works under this lease listens: that is no leak to warn of.
    setMaxListeners(0, this.#ended.signal);
    this.#deadline = this.#deadlineFrom(sentAt);
    this.#armDeadline();
    this.#renewing = renew;
    if (renew) this.#renewAt(sentAt + ttlMs * renewShare);
  }

  get signal(): AbortSignal {
    this.isHeld();
    return this.#ended.signal;
  }

  get reason(): WaymarkError | undefined {
    return this.#reason;
  }

  remainingMs(): number {
    return this.isHeld() ? this.#deadline - this.#clock.now() : 0;
  }

  isHeld(): boolean {
    if (this.#released || this.#reason !== undefined) return false;
    if (this.#clock.now() < this.#deadline) return true;
    this.#lose(`no renewal of lease ${this.id} was answered within its TTL`);
    return false;
  }

  /** From now on it runs out by itself. */
  letRunOut(): void {
    this.#renewing = false;
    this.#disarmRenewal?.();
  }

  /** As `letRunOut`, but with the whole TTL before it: what was waited until now does not count. */
  async beginRunOut(): Promise<void> {
    this.letRunOut();
    const whole = this.#deadlineFrom(this.#clock.now()) - this.#clock.now();
    if (this.remainingMs() < whole * (1 - waitedShare)) await this.#renew();
  }

  /**
   * Gives back in the background what could not be given back when it was asked for, as it would stand as long as this lease is renewed:
   * until the engine has answered, or the lease has ended.
   */
  async insist(give: () => Promise<unknown>): Promise<void> {
    for (let againMs = insistMs; this.isHeld(); againMs = Math.min(2 * againMs, insistMsMax)) {
      try {
        await give();
        return;
      } catch (error) {
        if (!unanswered(error)) return;
      }
      await pause(this.#clock, againMs, this.#ended.signal).catch(() => undefined);
    }
  }

  async release(): Promise<boolean> {
    if (this.#released) return false;
    const held = this.isHeld();
    this.#released = true;
    this.#disarm();
    if (!held) return false;
    try {
      await this.#host.revoke(this.id);
      return true;
    } catch (error) {
      if (isWaymarkError(error, 'not_found')) return false;
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  #deadlineFrom(sentAt: number): number {
    return sentAt + this.ttlMs * (1 - driftShare) - marginMs;
  }

  #armDeadline(): void {
    this.#disarmDeadline?.();
    this.#disarmDeadline = this.#clock.after(this.#deadline - this.#clock.now(), () => {
      if (this.isHeld()) this.#armDeadline();
    });
  }

  #renewAt(time: number): void {
    if (!this.#renewing) return;
    this.#disarmRenewal = this.#clock.after(time - this.#clock.now(), () => void this.#renew());
  }

  async #renew(): Promise<void> {
    if (!this.isHeld()) return;
    const sentAt = this.#clock.now();
    const tooLate = new AbortController();
    const disarm = this.#clock.after(this.#deadline - sentAt, () => tooLate.abort());
    try {
      await this.#host.renew(this.id, { signal: tooLate.signal });
      if (!this.isHeld()) return;
      this.#deadline = this.#deadlineFrom(sentAt);
      this.#renewAt(sentAt + this.ttlMs * renewShare);
    } catch (error) {
      if (!this.isHeld()) return;
      if (isWaymarkError(error, 'not_found'))
        this.#lose(`lease ${this.id} has ended on the engine`, error);
      else this.#renewAt(this.#clock.now() + this.ttlMs * retryShare);
    } finally {
      disarm();
    }
  }

  #lose(message: string, cause?: unknown): void {
    this.#reason = new WaymarkError('lost', message, { lease: this.id }, cause);
    this.#disarm();
    this.#ended.abort(this.#reason);
    this.losses.forEach((one) => one.leaseLost());
  }

  #disarm(): void {
    this.#disarmRenewal?.();
    this.#disarmDeadline?.();
  }
}
