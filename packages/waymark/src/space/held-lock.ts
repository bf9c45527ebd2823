import { isWaymarkError } from '../core/errors.js';
import type { HeldKeys, HoldEnd, Host, LockMode } from '../core/host.js';
import { lockWords, lostHold } from '../recipes/wording.js';
import { Held, type HeldParts } from './held.js';
import type { Call, Lock } from './types.js';

export interface HeldLockParts {
  readonly host: Host;
  readonly namespace: string;
  readonly hold: HeldKeys;
  /** Told once it is released or lost. */
  readonly forget: (namespace: string, lock: HeldLock) => void;
}

/** A granted lock. */
export class HeldLock extends Held implements Lock {
  readonly tree: boolean;
  readonly #parts: HeldLockParts;
  #keys: HeldKeys;

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
    return host.release(namespace, this.#keys);
  }

  protected watchLoss(lost: (why: string) => void): () => void {
    const { host, namespace } = this.#parts;
    return host.watchHold(namespace, this.#keys, ({ kind, detail }: HoldEnd) =>
      lost(kind === 'forced' ? `was taken away: ${detail}` : `ended: ${detail}`),
    );
  }

  protected override over(): void {
    this.#parts.forget(this.#parts.namespace, this);
  }

  async #convert(
    mode: LockMode,
    call: Call & { readonly waitMs?: number | undefined },
  ): Promise<void> {
    if (!this.isHeld()) throw this.reason ?? lostHold(this.path, lockWords);
    const { host, namespace } = this.#parts;
    const { signal, waitMs } = call;
    let refusal: { readonly error: unknown } | null = null;
    await this.changing(async () => {
      try {
        const token = await host.convert(namespace, this.#keys, { mode, waitMs }, { signal });
        this.#keys = { ...this.#keys, mode };
        return token;
      } catch (error) {
        refusal = { error };
        // An abort may have come too late, as an answer may have been lost.
        const told = isWaymarkError(error) && error.code !== 'uncertain';
        return told ? this.token : await this.#convertBack(error);
      }
    });
    if (refusal !== null) throw (refusal as { readonly error: unknown }).error;
  }

  /** It may have been converted all the same. @returns the token of the mode it had. @throws {WaymarkError} `lost` when that cannot be told either: it is given back then */
  async #convertBack(why: unknown): Promise<number> {
    const { host, namespace } = this.#parts;
    try {
      return await host.convert(namespace, this.#keys, { mode: this.mode });
    } catch {
      // Released as a shared one, it goes in whichever mode it stands.
      this.#keys = { ...this.#keys, mode: 'shared' };
      this.lose('may have changed its mode or not, and the engine does not tell', why);
      this.giveBackLater();
      throw this.reason ?? why;
    }
  }
}
