import { createHash, timingSafeEqual } from 'node:crypto';
import type { Random } from 'waymark/engine';

/**
 * Tokens that users are given: `wmk_ID_SECRET`. The secret has 256 random bits, which nobody guesses however fast the hash is: so SHA-256 is right for it,
 * and what it costs is nothing beside a call. A password needs scrypt (passwords.ts), since people choose it.
 */

export interface MadeToken {
  readonly id: string;
  /** Shown once. */
  readonly token: string;
  readonly hash: string;
}

const form = /^wmk_([A-Za-z0-9-]{12})_([A-Za-z0-9_-]{44})$/;
/** What an unknown id is compared with, so that it takes as long as a known one. */
const nobody = hashOf('');

export function makeToken(random: Random): MadeToken {
  // The id is an argument of commands, and of the token's parts '_' is between.
  const id = random.id().slice(0, 12).replaceAll(/[_-]/g, '0');
  const secret = random.id() + random.id();
  return { id, token: `wmk_${id}_${secret}`, hash: hashOf(secret) };
}

/** @returns null for what is no token of this kind */
export function tokenId(token: string): string | null {
  return form.exec(token)?.[1] ?? null;
}

/** @param hash  undefined: of nobody */
export function secretMatches(token: string, hash: string | undefined): boolean {
  const secret = form.exec(token)?.[2] ?? '';
  const same = sameText(hashOf(secret), hash ?? nobody);
  return same && hash !== undefined;
}

/** In constant time for texts of one length. */
export function sameText(a: string, b: string): boolean {
  const [one, other] = [Buffer.from(a), Buffer.from(b)];
  return one.length === other.length && timingSafeEqual(one, other);
}

function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}
