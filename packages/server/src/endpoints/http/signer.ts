import { createHmac, createPrivateKey, sign, type KeyObject } from 'node:crypto';
import { WaymarkError } from 'waymark/engine';

/** Signs what is sent, as Standard Webhooks has it (github.com/standard-webhooks/standard-webhooks): `ID.SECONDS.BODY`. */
export type Signer = (id: string, seconds: number, body: Uint8Array) => string;

const hmacBytes = { min: 24, max: 64 } as const;
const seedBytes = 32;
/** PKCS #8 of an ed25519 key, up to its seed (RFC 8410). */
const seedHead = Buffer.from('302e020100300506032b657004220420', 'hex');

/**
 * One signature for each secret, separated by blanks: while secrets are rotated, receivers that know the old one and those that know the new one
 * both find theirs.
 *
 * @param secrets  `whsec_` or `whsk_` and base64
 * @throws {WaymarkError} `invalid`; it shows nothing of the secret
 */
export function signerOf(secrets: readonly string[]): Signer | null {
  if (secrets.length === 0) return null;
  const signers = secrets.map((secret, at) => readSecret(secret, at + 1));
  return (id, seconds, body) => {
    const head = Buffer.from(`${id}.${seconds}.`);
    return signers.map((one) => one(head, body)).join(' ');
  };
}

function readSecret(secret: string, place: number): (head: Buffer, body: Uint8Array) => string {
  const [, kind, text = ''] = /^(whsec|whsk)_(.*)$/s.exec(secret) ?? [];
  const bytes = Buffer.from(text, 'base64');
  const whole = bytes.toString('base64').replace(/=+$/, '') === text.replace(/=+$/, '');
  if (kind === 'whsec') {
    if (!whole || bytes.length < hmacBytes.min || bytes.length > hmacBytes.max) {
      throw refused(place, `whsec_ and ${hmacBytes.min} to ${hmacBytes.max} bytes in base64`);
    }
    return (head, body) =>
      `v1,${createHmac('sha256', bytes).update(head).update(body).digest('base64')}`;
  }
  if (kind === 'whsk') {
    if (!whole || bytes.length !== seedBytes) {
      throw refused(place, `whsk_ and the ${seedBytes} bytes of an ed25519 seed in base64`);
    }
    const key = privateKey(bytes);
    return (head, body) => `v1a,${sign(null, Buffer.concat([head, body]), key).toString('base64')}`;
  }
  throw refused(place, 'whsec_… or whsk_…');
}

function privateKey(seed: Buffer): KeyObject {
  return createPrivateKey({ key: Buffer.concat([seedHead, seed]), format: 'der', type: 'pkcs8' });
}

function refused(place: number, expected: string): WaymarkError {
  return new WaymarkError('invalid', `secret ${place} of the endpoint is not ${expected}`);
}
