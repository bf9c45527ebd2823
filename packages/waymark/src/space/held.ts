import { WaymarkError } from '../core/errors.js';
import type { HostLease, UnderLease } from './kept-lease.js';
import type { Lasting, LateWatches } from './late-watches.js';
import type { Hold } from './types.js';

export interface HeldParts {
  readonly watches: LateWatches;
  readonly lease: HostLease;
  /** The lease is this hold's alone, and goes with it. */
  readonly ownLease: boolean;
  readonly path: string;
  readonly token: number;
  /** Told once it is released or lost. */
  readonly ended: (held: Held) => void;
}

/** What every hold has. Its signal aborts when it is lost, never by its own release. A lost hold never comes back. */
export abstract class Held implements Hold, Lasting, UnderLease {
  readonly path: string;
  /** What it is called in messages: 'the lock on /a'. */
  protected abstract readonly title: string;
  readonly #parts: HeldParts;
  /** Made when somebody asks for the signal. */
  #lost: AbortController | undefined;
  #token: number;
  #reason: WaymarkError | undefined;
  #released = false;
  /** Its release did not reach the engine: it stands there still, and may be released again. */
  #owed = false;
  /** It is being given back. */
  #releasing: Promise<boolean> | undefined;
  #unwatch: (() => void) | undefined;
  /** Its place among those under the lease, and among those that are to be watched. */
  #atLease: number;
  #atWatches: number;

  constructor(parts: HeldParts) {
    this.#parts = parts;
    this.#token = parts.token;
    this.path = parts.path;
    this.#atWatches = parts.watches.add(this);
    this.#atLease = parts.lease.losses.add(this);
  }

  get token(): number {
    return this.#token;
  }

  get signal(): AbortSignal {
    this.isHeld();
    this.#lost ??= new AbortController();
    if (this.#reason !== undefined && !this.#lost.signal.aborted) this.#lost.abort(this.#reason);
    return this.#lost.signal;
  }

  get reason(): WaymarkError | undefined {
    this.isHeld();
    return this.#reason;
  }

  remainingMs(): number {
    return this.isHeld() ? this.#parts.lease.remainingMs() : 0;
  }

  isHeld(): boolean {
    if (this.#released || this.#reason !== undefined) return false;
    if (this.#parts.lease.isHeld()) return true;
    this.leaseLost();
    return false;
  }

  release(): Promise<boolean> {
    if (this.#releasing !== undefined) return this.#releasedAfter(this.#releasing);
    const held = this.#owed || this.isHeld();
    this.#released = true;
    this.#owed = false;
    if (!held) return Promise.resolve(false);
    this.#detach();
    this.#releasing = this.#givenBack().then(
      (gone) => {
        this.#releasing = undefined;
        return gone;
      },
      (error: unknown) => {
        this.#releasing = undefined;
        this.#owed = true;
        void this.#parts.lease.insist(async () => await this.#payOff());
        throw error;
      },
    );
    return this.#releasing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  leaseLost(): void {
    const { lease } = this.#parts;
    const why = lease.reason?.message ?? 'its lease was released';
    this.lose(`ended: ${why}`, lease.reason);
  }

  /** It lasts: from now on it is watched. */
  startWatch(): void {
    this.#atWatches = this.#parts.watches.remove(this.#atWatches);
    this.#unwatch = this.watchLoss((why) => this.lose(why));
  }

  /** Tells the engine. @returns false when nothing was held there */
  protected abstract giveBack(): Promise<boolean>;

  /** Calls `lost` once when the engine holds it no longer, with what became of it. @returns stops looking */
  protected abstract watchLoss(lost: (why: string) => void): () => void;

  /** For one that is lost here, and may stand on the engine all the same. */
  protected giveBackLater(): void {
    this.whileHeld(() => this.giveBack());
  }

  /** Tries in the background until it is answered, or the lease has ended. */
  protected whileHeld(work: () => Promise<unknown>): void {
    void this.#parts.lease.insist(work);
  }

  /** It is no longer in use. */
  protected over(): void {}

  /** @param why  what became of it: 'ended: …' */
  protected lose(why: string, cause?: unknown): void {
    if (this.#released || this.#reason !== undefined) return;
    const facts = { path: this.path, lease: this.#parts.lease.id };
    this.#reason = new WaymarkError('lost', `${this.title} ${why}`, facts, cause);
    this.#detach();
    // Nothing else lives by it. Where that cannot be told it ends by itself.
    if (this.#parts.ownLease) this.#parts.lease.release().catch(() => undefined);
    this.#lost?.abort(this.#reason);
  }

  /** While it changes into something else on the engine, its end there is no loss. */
  protected async changing(change: () => Promise<number>): Promise<void> {
    this.#endWatch();
    try {
      this.#token = await change();
    } finally {
      if (!this.#released && this.#reason === undefined)
        this.#atWatches = this.#parts.watches.add(this);
    }
  }

  /** A space that is closed refuses some at once: that is an answer as any other. */
  #givenBack(): Promise<boolean> {
    try {
      return this.#parts.ownLease ? this.#giveBackWithLease() : this.giveBack();
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  async #giveBackWithLease(): Promise<boolean> {
    try {
      return await this.giveBack();
    } finally {
      await this.#parts.lease.release();
    }
  }

  /** Whoever asks while it is given back waits for that: what they do next may count on it. */
  async #releasedAfter(releasing: Promise<boolean>): Promise<boolean> {
    await releasing.catch(() => undefined);
    return await this.release();
  }

  async #payOff(): Promise<void> {
    if (!this.#owed) return;
    await this.giveBack();
    this.#owed = false;
  }

  #endWatch(): void {
    this.#atWatches = this.#parts.watches.remove(this.#atWatches);
    this.#unwatch?.();
    this.#unwatch = undefined;
  }

  #detach(): void {
    this.#endWatch();
    this.#atLease = this.#parts.lease.losses.remove(this.#atLease);
    this.#parts.ended(this);
    this.over();
  }
}
