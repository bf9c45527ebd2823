import { isWaymarkError, unanswered } from '../core/errors.js';
import type { HeldKeys, HoldEnd, Host, LockMode } from '../core/host.js';
import { lockWords, lostHold } from '../recipes/wording.js';
import { Held, type HeldParts } from './held.js';
import type { OwnLocks } from './own-locks.js';
import type { Call, Lock } from './types.js';

export interface HeldLockParts {
  readonly host: Host;
  readonly namespace: string;
  readonly hold: HeldKeys;
  /** It is one of these until it is released or lost. */
  readonly among: OwnLocks;
}

/** A granted lock. */
export class HeldLock extends Held implements Lock {
  readonly tree: boolean;
  readonly #parts: HeldLockParts;
  #keys: HeldKeys;
  #converting = false;
  /** So many were begun. */
  #conversion = 0;

  constructor(held: HeldParts, parts: HeldLockParts) {
    super(held);
    this.#parts = parts;
    this.#keys = parts.hold;
    this.tree = this.#keys.tree;
  }

  get mode(): LockMode {
    return this.#keys.mode;
  }

  async upgrade(call: Call & { readonly waitMs?: number | undefined } = {}): Promise<void> {
    await this.#convert('exclusive', call);
  }

  async downgrade(call: Call = {}): Promise<void> {
    await this.#convert('shared', call);
  }

  protected get title(): string {
    return `the lock on ${this.path}`;
  }

  protected giveBack(): Promise<boolean> {
    const { host, namespace } = this.#parts;
    // In both modes, while it may have either.
    const keys = this.#converting ? ({ ...this.#keys, mode: 'shared' } as const) : this.#keys;
    return host.release(namespace, keys);
  }

  protected watchLoss(lost: (why: string) => void): () => void {
    const { host, namespace } = this.#parts;
    return host.watchHold(namespace, this.#keys, ({ kind, detail }: HoldEnd) =>
      lost(kind === 'forced' ? `was taken away: ${detail}` : `ended: ${detail}`),
    );
  }

  protected override over(): void {
    this.#parts.among.remove(this);
  }

  async #convert(
    mode: LockMode,
    call: Call & { readonly waitMs?: number | undefined },
  ): Promise<void> {
    if (!this.isHeld()) throw this.reason ?? lostHold(this.path, lockWords);
    const { host, namespace } = this.#parts;
    const { signal, waitMs } = call;
    const conversion = ++this.#conversion;
    let refusal: { readonly error: unknown } | null = null;
    this.#converting = true;
    try {
      await this.changing(async () => {
        try {
          const token = await host.convert(namespace, this.#keys, { mode, waitMs }, { signal });
          this.#keys = { ...this.#keys, mode };
          return token;
        } catch (error) {
          refusal = { error };
          // An abort may have come too late, as an answer may have been lost.
          const told = isWaymarkError(error) && !unanswered(error) && signal?.aborted !== true;
          if (told) return this.token;
          const token = await this.#makeShared(error, conversion);
          if (mode === 'shared' && this.mode === 'shared') refusal = null;
          return token;
        }
      });
    } finally {
      this.#converting = false;
    }
    if (refusal !== null) throw (refusal as { readonly error: unknown }).error;
  }

  /** Whatever became of its conversion: nothing waits for that. @returns the token that it has then. @throws {WaymarkError} `lost` when that cannot be told: it is given back then */
  async #makeShared(why: unknown, conversion: number): Promise<number> {
    const { host, namespace } = this.#parts;
    const shared = { ...this.#keys, mode: 'shared' } as const;
    const ask = (): Promise<number> => host.convert(namespace, this.#keys, { mode: 'shared' });
    try {
      const token = await ask();
      this.#keys = shared;
      return token;
    } catch (error) {
      if (isWaymarkError(error, 'lost')) throw error;
      // Refused before anything was done: what it waited with is in the way of others, and no more.
      if (isWaymarkError(why, 'unavailable') && this.mode === 'shared') {
        this.whileHeld(async () => {
          if (conversion === this.#conversion && this.isHeld()) await ask();
        });
        return this.token;
      }
      // Released as a shared one, it goes in whichever mode it stands.
      this.#keys = shared;
      this.lose('may have changed its mode or not, and the engine does not tell', why);
      this.giveBackLater();
      throw this.reason ?? why;
    }
  }
}
