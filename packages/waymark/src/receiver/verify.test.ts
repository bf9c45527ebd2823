import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isWaymarkError } from '../core/errors.js';
import { verify, type VerifyOptions } from './verify.js';

/** Published by Standard Webhooks. */
const id = 'msg_p5jXN8AQM9LWM0D4loKWxJek';
const sentAt = 1_614_265_330_000;
const body = '{"test": 2432232314}';
const hmac = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const hmacSignature = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=';
const ed25519 = 'whpk_QsrhTU6G+51fIAjGb9UClyFN3cKCsPB9OdUzVyw0jFk=';
const other = 'v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=';
const headers = {
  'webhook-id': id,
  'webhook-timestamp': '1614265330',
  'webhook-signature': hmacSignature,
};
const at = (now: number): VerifyOptions => ({ now: () => now });

function refusal(
  more: Readonly<Record<string, string | undefined>>,
  { text = body, secrets = [hmac], options = at(sentAt) } = {},
): string {
  try {
    verify({ ...headers, ...more }, text, secrets, options);
  } catch (error) {
    if (isWaymarkError(error, 'unauthenticated')) return error.message;
    throw error;
  }
  throw new Error('it was accepted');
}

test('the published signature is right, in headers of any kind and in a list', () => {
  const told = { id, sentAt };
  expect(verify(headers, body, [hmac], at(sentAt))).toEqual(told);
  expect(verify(new Headers(headers), Buffer.from(body), [hmac], at(sentAt))).toEqual(told);
  const capitals = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toUpperCase(), value]),
  );
  expect(verify(capitals, body, [hmac], at(sentAt))).toEqual(told);
  const list = `${other} v2,${hmacSignature.slice(3)} ${hmacSignature} ${other}`;
  expect(verify({ ...headers, 'webhook-signature': list }, body, [hmac], at(sentAt))).toEqual(told);
});

test('ed25519 is verified with the public key, and either secret serves while they are rotated', () => {
  const pair = generateKeyPairSync('ed25519');
  const spki = pair.publicKey.export({ format: 'der', type: 'spki' });
  const key = `whpk_${spki.subarray(-32).toString('base64')}`;
  const signed = Buffer.from(`${id}.1614265330.${body}`);
  const signature = `v1a,${sign(null, signed, pair.privateKey).toString('base64')}`;
  const both = { ...headers, 'webhook-signature': `${hmacSignature} ${signature}` };
  for (const secrets of [[key], [hmac], [ed25519, key]]) {
    expect(verify(both, body, secrets, at(sentAt)).id).toBe(id);
  }
  expect(refusal({ 'webhook-signature': signature })).toContain('no signature fits');
  const own = { secrets: [ed25519] };
  expect(refusal({ 'webhook-signature': signature }, own)).toContain('no signature fits');
  // One version's secret never judges the other's signature.
  const crossed = `v1,${signature.slice(4)} v1a,${hmacSignature.slice(3)}`;
  expect(refusal({ 'webhook-signature': crossed }, { secrets: [key, hmac] })).toContain('fits');
});

test('what is missing, malformed or signed by others is refused', () => {
  for (const name of Object.keys(headers)) {
    expect(refusal({ [name]: undefined })).toContain(`the header ${name} is missing`);
    expect(refusal({ [name]: '' })).toContain(`the header ${name} is missing`);
  }
  for (const timestamp of ['hello', '-1', '1614265330.5', '1e9', ' 1614265330', '9'.repeat(13)]) {
    expect(refusal({ 'webhook-timestamp': timestamp }), timestamp).toContain('malformed');
  }
  for (const signature of ['v1,', 'v1', hmacSignature.slice(0, 8), other, `x${hmacSignature}`]) {
    expect(refusal({ 'webhook-signature': signature }), signature).toContain('no signature fits');
  }
  const buried = [...Array.from({ length: 16 }, () => other), hmacSignature].join(' ');
  expect(refusal({ 'webhook-signature': buried })).toContain('no signature fits');
});

test('the time may be five minutes off, either way, and never because nobody signed it', () => {
  for (const offMs of [-300_000, 300_000]) {
    expect(verify(headers, body, [hmac], at(sentAt + offMs)).id).toBe(id);
    const late = at(sentAt + offMs * 1.01);
    expect(refusal({}, { options: late })).toContain('300000 ms');
    expect(verify(headers, body, [hmac], { ...late, toleranceMs: 400_000 }).id).toBe(id);
  }
  expect(refusal({ 'webhook-timestamp': '1614265331' })).toContain('no signature fits');
});

test('a body cannot lend its beginning to the time', () => {
  const secret = Buffer.from(hmac.slice(6), 'base64');
  const signed = `${id}.1614265330.1700000000.payload`;
  const signature = `v1,${createHmac('sha256', secret).update(signed).digest('base64')}`;
  const forged = {
    'webhook-id': `${id}.1614265330`,
    'webhook-timestamp': '1700000000',
    'webhook-signature': signature,
  };
  const options = at(1_700_000_000_000);
  expect(refusal(forged, { text: 'payload', options })).toContain('malformed');
});

test('secrets that are none are refused, and not shown', () => {
  for (const secret of [
    'CANARY',
    'whsec_Q0FOQVJZ',
    'whpk_Q0FOQVJZ',
    `${hmac}\n`,
    `whsk_${hmac}`,
    '',
  ]) {
    let error: unknown;
    try {
      verify(headers, body, [hmac, secret]);
    } catch (thrown) {
      error = thrown;
    }
    expect(isWaymarkError(error, 'invalid'), secret).toBe(true);
    expect(String(error)).toContain('secret 2');
    expect(String(error)).not.toMatch(/CANARY|Q0FO/);
  }
  expect(() => verify(headers, body, [])).toThrow('needs a secret');
});

test('whatever is signed is right, and whatever is changed is not', () => {
  const bytes = fc.uint8Array({ maxLength: 200 });
  const name = fc.stringMatching(/^[\w-]{1,40}$/);
  const secretBytes = fc.uint8Array({ minLength: 24, maxLength: 64 });
  fc.assert(
    fc.property(bytes, name, secretBytes, fc.nat(), (sent, msg, key, place) => {
      const secret = `whsec_${Buffer.from(key).toString('base64')}`;
      const digest = createHmac('sha256', key).update(`${msg}.1614265330.`).update(sent);
      const signature = digest.digest();
      const told = (used: Uint8Array) => ({
        'webhook-id': msg,
        'webhook-timestamp': '1614265330',
        'webhook-signature': `v1,${Buffer.from(used).toString('base64')}`,
      });
      expect(verify(told(signature), sent, [secret], at(sentAt)).id).toBe(msg);
      const changed = (of: Uint8Array) =>
        of.map((byte, i) => (i === place % of.length ? byte ^ 1 : byte));
      const refused = (call: () => unknown) => expect(call).toThrow('no signature fits');
      refused(() => verify(told(changed(signature)), sent, [secret], at(sentAt)));
      refused(() =>
        verify(told(signature), Buffer.concat([sent, Buffer.of(0)]), [secret], at(sentAt)),
      );
      if (sent.length > 0)
        refused(() => verify(told(signature), changed(sent), [secret], at(sentAt)));
      const otherSecret = `whsec_${Buffer.from(changed(key)).toString('base64')}`;
      refused(() => verify(told(signature), sent, [otherSecret], at(sentAt)));
    }),
  );
});
