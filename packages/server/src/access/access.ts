import type { Clock, Engine, Random } from 'waymark/engine';
import { AccessLayout, type AccessState } from './access-state.js';
import { AccessStore } from './access-store.js';
import { Passwords } from './passwords.js';
import type { Principal } from './principal.js';
import { Tokens } from './tokens.js';

export interface AccessOptions {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly random: Random;
  /** Where it is kept in the engine: no path may name anything there. Ends in a slash. */
  readonly prefix: string;
}

/** Who may do what: users and roles in the engine, tokens of this process. */
export class Access implements AsyncDisposable {
  readonly store: AccessStore;
  readonly passwords: Passwords;
  readonly tokens: Tokens;

  private constructor(store: AccessStore, { clock, random }: AccessOptions) {
    this.store = store;
    this.passwords = new Passwords(random);
    this.tokens = new Tokens(clock, random);
  }

  /** @throws {WaymarkError} `corrupt`, `unavailable` */
  static async open(options: AccessOptions): Promise<Access> {
    const layout = new AccessLayout(options.prefix);
    return new Access(await AccessStore.open({ ...options, layout }), options);
  }

  get state(): AccessState {
    return this.store.state;
  }

  /**
   * Shows a password for a token.
   * @returns null: no such user, or another password
   * @throws {WaymarkError} `too_large`, `overloaded`
   */
  async logIn(name: string, password: string): Promise<string | null> {
    for (;;) {
      const user = this.state.users.get(name);
      const right = await this.passwords.matches(password, user?.password ?? null);
      const now = this.state.users.get(name);
      // The password may be another by the time that it was compared.
      if (now?.revision !== user?.revision) continue;
      return right && now !== undefined ? this.tokens.give(now, this.state) : null;
    }
  }

  /** @returns null: the token stands for nobody */
  bearer(token: string): Principal | null {
    const name = this.tokens.userOf(token, this.state);
    return name === null ? null : this.state.principal(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store[Symbol.asyncDispose]();
  }
}
