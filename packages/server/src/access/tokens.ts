import type { Clock, Random, Revision } from 'waymark/engine';
import type { AccessState, User } from './access-state.js';
import { accessLimits } from './limits.js';

interface Token {
  readonly user: string;
  /** What it was given out on: another password, user or switching on voids it. */
  readonly userRevision: Revision;
  readonly enabledAt: Revision;
  usedMs: number;
}

/** A token is put behind the others again when it was not used for so long. */
const resolutionMs = 1_000;

/** Who has shown a password to this process: a token stands for it until it is not used for five minutes. */
export class Tokens {
  readonly #clock: Clock;
  readonly #random: Random;
  /** In order of use, the one unused for longest in front. */
  readonly #tokens = new Map<string, Token>();

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  get size(): number {
    return this.#tokens.size;
  }

  give(user: User, state: AccessState): string {
    this.#sweep();
    const token = `${this.#random.id()}.${state.revision}`;
    this.#tokens.set(token, {
      user: user.name,
      userRevision: user.revision,
      enabledAt: state.enabledAt,
      usedMs: this.#clock.now(),
    });
    return token;
  }

  /** @returns null: there is no such token, or not any more */
  userOf(token: string, state: AccessState): string | null {
    const known = this.#tokens.get(token);
    if (known === undefined) return null;
    const now = this.#clock.now();
    const { user, userRevision, enabledAt, usedMs } = known;
    const stands =
      now - usedMs < accessLimits.tokenIdleMsMax &&
      state.enabledAt === enabledAt &&
      state.users.get(user)?.revision === userRevision;
    if (!stands) {
      this.#tokens.delete(token);
      return null;
    }
    if (now - usedMs >= resolutionMs) {
      known.usedMs = now;
      this.#tokens.delete(token);
      this.#tokens.set(token, known);
    }
    return user;
  }

  #sweep(): void {
    const { tokenIdleMsMax, tokensMax } = accessLimits;
    const before = this.#clock.now() - tokenIdleMsMax;
    for (const [token, { usedMs }] of this.#tokens) {
      if (usedMs > before && this.#tokens.size < tokensMax) return;
      this.#tokens.delete(token);
    }
  }
}
