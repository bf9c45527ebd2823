import {
  createHmac,
  createPublicKey,
  type KeyObject,
  timingSafeEqual,
  verify as verifySignature,
} from 'node:crypto';
import { WaymarkError } from '../core/errors.js';
import { systemClock } from '../core/system-clock.js';
import { headerOf, type WebhookHeaders } from './headers.js';

export interface VerifyOptions {
  /** How far the time of sending may lie from now, either way. Default 300 000: five minutes. */
  readonly toleranceMs?: number | undefined;
  /** Unix time in ms. Default: this machine's clock. */
  readonly now?: (() => number) | undefined;
}

export interface VerifiedWebhook {
  readonly id: string;
  /** Unix time in ms, in whole seconds. */
  readonly sentAt: number;
}

/** Whether a signature, without its version, is right for what was signed. */
interface Key {
  readonly version: 'v1' | 'v1a';
  fits(signed: Buffer, signature: Buffer): boolean;
}

const toleranceMsDefault = 300_000;
const hmacBytes = { min: 24, max: 64 } as const;
const publicKeyBytes = 32;
/** An ed25519 public key as SubjectPublicKeyInfo, up to its bytes (RFC 8410). */
const publicKeyHead = Buffer.from('302a300506032b6570032100', 'hex');
/** More signatures than any rotation needs are not looked at. */
const signaturesMax = 16;

/**
 * Tells whether a webhook was signed with one of the secrets, just now: Standard Webhooks, whoever sent it.
 *
 * @param body  exactly as it came: parsed and written again, it is another one
 * @param secrets  `whsec_…` (HMAC) and `whpk_…` (ed25519 public keys); while they are rotated, the old and the new one. At least one
 * @throws {WaymarkError} `unauthenticated` for what is not signed with any of them, or too long ago; `invalid` for secrets that are none
 */
export function verify(
  headers: WebhookHeaders,
  body: Uint8Array | string,
  secrets: readonly string[],
  options: VerifyOptions = {},
): VerifiedWebhook {
  return verifierOf(secrets, options)(headers, body);
}

/** `verify`, for secrets that are read once. */
export function verifierOf(
  secrets: readonly string[],
  { toleranceMs = toleranceMsDefault, now = () => systemClock.wallNow() }: VerifyOptions = {},
): (headers: WebhookHeaders, body: Uint8Array | string) => VerifiedWebhook {
  if (secrets.length === 0) throw new WaymarkError('invalid', 'a webhook needs a secret to verify');
  const keys = secrets.map((secret, at) => readSecret(secret, at + 1));
  return (headers, body) => {
    const id = required(headers, 'webhook-id');
    const timestamp = required(headers, 'webhook-timestamp');
    const signatures = required(headers, 'webhook-signature').split(' ', signaturesMax);
    // A full stop would move the border between what is signed as id, time and body.
    if (id.includes('.') || !/^\d{1,12}$/.test(timestamp)) {
      throw refused('webhook-id or webhook-timestamp is malformed');
    }
    const signed = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), Buffer.from(body)]);
    if (!signatures.some((one) => keys.some((key) => isSignedBy(key, signed, one)))) {
      throw refused('no signature fits');
    }
    const sentAt = Number(timestamp) * 1_000;
    if (Math.abs(now() - sentAt) > toleranceMs) {
      throw refused(`it was not sent within ${toleranceMs} ms of now`);
    }
    return { id, sentAt };
  };
}

function isSignedBy(key: Key, signed: Buffer, one: string): boolean {
  const [version, text = '', ...more] = one.split(',');
  if (version !== key.version || more.length > 0) return false;
  return key.fits(signed, Buffer.from(text, 'base64'));
}

function readSecret(secret: string, place: number): Key {
  const [, kind, text = ''] = /^(whsec|whpk)_([A-Za-z0-9+/]+={0,2})$/.exec(secret) ?? [];
  const bytes = Buffer.from(text, 'base64');
  if (kind === 'whsec' && bytes.length >= hmacBytes.min && bytes.length <= hmacBytes.max) {
    return { version: 'v1', fits: (signed, signature) => isHmac(bytes, signed, signature) };
  }
  if (kind === 'whpk' && bytes.length === publicKeyBytes) {
    const key = publicKey(bytes);
    return { version: 'v1a', fits: (signed, sent) => verifySignature(null, signed, key, sent) };
  }
  throw new WaymarkError(
    'invalid',
    `secret ${place} is neither whsec_ and ${hmacBytes.min} to ${hmacBytes.max} bytes in base64, nor whpk_ and the ${publicKeyBytes} of a public key`,
  );
}

function isHmac(secret: Buffer, signed: Buffer, signature: Buffer): boolean {
  const expected = createHmac('sha256', secret).update(signed).digest();
  return signature.length === expected.length && timingSafeEqual(signature, expected);
}

function publicKey(bytes: Buffer): KeyObject {
  return createPublicKey({
    key: Buffer.concat([publicKeyHead, bytes]),
    format: 'der',
    type: 'spki',
  });
}

function required(headers: WebhookHeaders, name: string): string {
  const value = headerOf(headers, name);
  if (value === undefined || value === '') throw refused(`the header ${name} is missing`);
  return value;
}

function refused(why: string): WaymarkError {
  return new WaymarkError('unauthenticated', `the webhook is not accepted: ${why}`);
}
