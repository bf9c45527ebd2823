import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto';
import { type Random, WaymarkError } from 'waymark/engine';
import { type SealingKey, sealingKeyId } from './sealing-keys.js';

/**
 * Texts that nobody may read who reads the engine: URIs of endpoints, with their passwords, and secrets that sign. Each is sealed on its own with
 * AES-256-GCM as `v1.KEYID.NONCE.CIPHERTEXT.TAG`, the last three in base64url. What it belongs to, its context, is authenticated with it, so a
 * sealed text that is moved to another endpoint does not open.
 *
 * A nonce is 96 random bits: one key is good for 2^32 texts by NIST SP 800-38D, more than there are registrations in its lifetime.
 */

const version = 'v1';
const cipher = 'aes-256-gcm';
const nonceBytes = 12;
const tagBytes = 16;
const textBytesMax = 65_536;

export interface Sealer {
  /**
   * Seals with the newest key.
   *
   * @param context  what the text belongs to: the id of its endpoint
   * @throws {WaymarkError} `too_large` beyond 64 KiB
   */
  seal(text: string, context: string): string;
  /**
   * @throws {WaymarkError} `invalid` when the key is not there that sealed it, naming its id; `corrupt` when it was not sealed like this, or for
   * another context
   */
  open(sealed: string, context: string): string;
  /** @returns the same text under the newest key; null when it is under that one. @throws as `open` */
  reseal(sealed: string, context: string): string | null;
  /** Of all keys there are, the newest first. */
  readonly ids: readonly string[];
  /** Takes the keys that there are by now. @throws {WaymarkError} `invalid`; then they stay as they were */
  refresh(): void;
}

/**
 * @param keys  newest first: the first one seals, all of them open
 * @throws {WaymarkError} `invalid` for no key, two of one id, and what is no key
 */
export function createSealer({
  keys,
  random,
}: {
  readonly keys: readonly SealingKey[];
  readonly random: Random;
}): Sealer {
  return new KeyedSealer(keys, random);
}

class KeyedSealer implements Sealer {
  readonly #keys = new Map<string, KeyObject>();
  readonly #newest: string;
  readonly #random: Random;
  readonly ids: readonly string[];

  constructor(keys: readonly SealingKey[], random: Random) {
    const [newest] = keys;
    if (newest === undefined) throw new WaymarkError('invalid', 'secrets are sealed with a key');
    for (const { id, key } of keys) {
      const sound = sealingKeyId.test(id) && key.length === 32 && !this.#keys.has(id);
      if (!sound) {
        throw new WaymarkError('invalid', 'a key that seals has an id of its own and 32 bytes');
      }
      this.#keys.set(id, createSecretKey(key));
    }
    this.#newest = newest.id;
    this.#random = random;
    this.ids = [...this.#keys.keys()];
  }

  seal(text: string, context: string): string {
    const actual = Buffer.byteLength(text);
    if (actual > textBytesMax) {
      const facts = { limit: 'textBytesMax', max: textBytesMax, actual };
      throw new WaymarkError('too_large', 'the text to be sealed is too long', facts);
    }
    const nonce = Buffer.from(this.#random.id(), 'base64url').subarray(0, nonceBytes);
    const id = this.#newest;
    const key = this.#keys.get(id) as KeyObject;
    const sealing = createCipheriv(cipher, key, nonce, { authTagLength: tagBytes });
    sealing.setAAD(authenticated(id, context));
    const body = Buffer.concat([sealing.update(text, 'utf8'), sealing.final()]);
    const parts = [nonce, body, sealing.getAuthTag()].map((part) => part.toString('base64url'));
    return [version, id, ...parts].join('.');
  }

  open(sealed: string, context: string): string {
    const { id, nonce, body, tag } = partsOf(sealed);
    const key = this.#keys.get(id);
    if (key === undefined) {
      throw new WaymarkError(
        'invalid',
        `the key '${id}' that sealed the secrets of an endpoint is not there: put its line back into the file of keys`,
      );
    }
    const opening = createDecipheriv(cipher, key, nonce, { authTagLength: tagBytes });
    opening.setAAD(authenticated(id, context)).setAuthTag(tag);
    try {
      return Buffer.concat([opening.update(body), opening.final()]).toString('utf8');
    } catch {
      throw damaged();
    }
  }

  reseal(sealed: string, context: string): string | null {
    const text = this.open(sealed, context);
    return sealedBy(sealed) === this.#newest ? null : this.seal(text, context);
  }

  /** Its keys are all there will be. */
  refresh(): void {}
}

/** @returns the id of the key. @throws {WaymarkError} `corrupt` */
export function sealedBy(sealed: string): string {
  return partsOf(sealed).id;
}

function authenticated(id: string, context: string): Buffer {
  return Buffer.from(`${version}.${id}.${context}`);
}

function partsOf(sealed: string) {
  const [written, id, ...rest] = sealed.split('.');
  const [nonce, body, tag] = rest.map(decoded);
  const whole =
    written === version &&
    id !== undefined &&
    sealingKeyId.test(id) &&
    rest.length === 3 &&
    nonce?.length === nonceBytes &&
    tag?.length === tagBytes;
  if (!whole || body === undefined || body === null) throw damaged();
  return { id, nonce, body, tag };
}

/** @returns null for what is no base64url, also where bits are set beyond its last byte: one text has one spelling */
function decoded(part: string): Buffer | null {
  const bytes = Buffer.from(part, 'base64url');
  return bytes.toString('base64url') === part ? bytes : null;
}

function damaged(): WaymarkError {
  return new WaymarkError(
    'corrupt',
    'the secrets of an endpoint do not open: they were changed, or belong to another endpoint or key',
  );
}
