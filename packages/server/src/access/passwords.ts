import { scrypt, timingSafeEqual } from 'node:crypto';
import { type Random, WaymarkError } from 'waymark/engine';
import { accessLimits } from './limits.js';

/**
 * Passwords as they are kept: `scrypt$16384$8$5$SALT$HASH`, the cost in front so that it can be raised later. Cost and its reason: OWASP's
 * password storage cheat sheet, the variant that takes least memory (16 MiB a hash), since several may be under way.
 */

export interface PasswordCost {
  readonly N: number;
  readonly r: number;
  readonly p: number;
}

const usualCost: PasswordCost = { N: 16_384, r: 8, p: 5 };
const hashBytes = 32;

type PasswordLimits = Readonly<
  Record<'passwordBytesMax' | 'loginsAtOnceMax' | 'loginsWaitingMax', number>
>;

/** Hashes and compares, a few at a time, off the thread that serves. */
export class Passwords {
  readonly #random: Random;
  readonly #limits: PasswordLimits;
  readonly #cost: PasswordCost;
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  /** What a user who does not exist is compared with: an answer must not tell by its time who does. */
  #nobody: Promise<string> | null = null;

  constructor(random: Random, limits: PasswordLimits = accessLimits, cost = usualCost) {
    this.#random = random;
    this.#limits = limits;
    this.#cost = cost;
  }

  /** @throws {WaymarkError} `too_large`, `overloaded` */
  async hash(password: string): Promise<string> {
    const salt = this.#random.id();
    const { N, r, p } = this.#cost;
    const hash = await this.#derive(password, salt, this.#cost);
    return ['scrypt', N, r, p, salt, hash.toString('base64url')].join('$');
  }

  /**
   * @param hashed  what `hash` made; null or empty: no password is right, and it takes as long
   * @throws {WaymarkError} `too_large`, `overloaded`
   */
  async matches(password: string, hashed: string | null): Promise<boolean> {
    if (hashed === null || hashed === '') {
      this.#nobody ??= this.hash('').catch((error: unknown) => {
        this.#nobody = null;
        throw error;
      });
      await this.matches(password, await this.#nobody);
      return false;
    }
    const [, N = '', r = '', p = '', salt = '', hash = ''] = hashed.split('$');
    const known = Buffer.from(hash, 'base64url');
    const given = await this.#derive(password, salt, { N: +N, r: +r, p: +p });
    return known.length === given.length && timingSafeEqual(known, given);
  }

  async #derive(password: string, salt: string, options: PasswordCost): Promise<Buffer> {
    const { passwordBytesMax, loginsAtOnceMax, loginsWaitingMax } = this.#limits;
    const actual = Buffer.byteLength(password);
    if (actual > passwordBytesMax) {
      const facts = { limit: 'passwordBytesMax', max: passwordBytesMax, actual };
      throw new WaymarkError('too_large', 'the password is too long', facts);
    }
    if (this.#running >= loginsAtOnceMax) {
      if (this.#waiting.length >= loginsWaitingMax) {
        throw new WaymarkError('overloaded', 'too many passwords are being checked: try again');
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#running++;
    try {
      return await derived(password, salt, options);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}

function derived(password: string, salt: string, options: PasswordCost): Promise<Buffer> {
  const maxmem = 256 * options.N * options.r;
  return new Promise((resolve, reject) => {
    scrypt(password, salt, hashBytes, { ...options, maxmem }, (error, hash) => {
      if (error === null) resolve(hash);
      else reject(error);
    });
  });
}
