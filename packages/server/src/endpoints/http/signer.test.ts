import { expect, test } from 'vitest';
import { isWaymarkError } from 'waymark/engine';
import { signerOf } from './signer.js';

const id = 'msg_p5jXN8AQM9LWM0D4loKWxJek';
const body = Buffer.from('{"test": 2432232314}');
const hmac = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const ed25519 = 'whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=';
const signed = {
  [hmac]: 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  [ed25519]:
    'v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag==',
};

test('signatures are those that Standard Webhooks publishes', () => {
  for (const [secret, expected] of Object.entries(signed)) {
    expect(signerOf([secret])?.(id, 1_614_265_330, body)).toBe(expected);
  }
});

test('each secret signs, in the order given', () => {
  const both = signerOf([ed25519, hmac])?.(id, 1_614_265_330, body);
  expect(both).toBe(`${signed[ed25519]} ${signed[hmac]}`);
  expect(signerOf([])).toBeNull();
});

test('secrets that are none are refused, and not shown', () => {
  const base64 = (length: number): string => Buffer.alloc(length, 'CANARY').toString('base64');
  for (const secret of [
    'CANARY-1',
    'whpk_CANARY',
    `whsec_${base64(23)}`,
    `whsec_${base64(65)}`,
    `whsec_${base64(30)}!`,
    `whsec_${base64(30)}\n`,
    `whsk_${base64(31)}`,
    `whsk_${base64(64)}`,
  ]) {
    let refusal: unknown;
    try {
      signerOf([hmac, secret]);
    } catch (error) {
      refusal = error;
    }
    expect(isWaymarkError(refusal, 'invalid'), secret).toBe(true);
    expect(String(refusal)).toContain('secret 2 of the endpoint');
    expect(String(refusal)).not.toContain(secret.slice(5));
  }
  for (const length of [24, 64]) expect(signerOf([`whsec_${base64(length)}`])).not.toBeNull();
});
