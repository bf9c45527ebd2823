import { inspect } from 'node:util';
import { isWaymarkError, systemRandom, WaymarkError } from 'waymark/engine';
import { expect, test } from 'vitest';
import { createSealer } from './sealing.js';

const random = systemRandom;
const one = { id: 'one', key: Buffer.alloc(32, 1) };
const two = { id: 'two', key: Buffer.alloc(32, 2) };
const uri = 'amqp://user:canary-8d1f@broker.example/vhost';

function caught(act: () => unknown): WaymarkError {
  try {
    act();
  } catch (error) {
    if (isWaymarkError(error)) return error;
  }
  throw new Error('no WaymarkError was thrown');
}

test('[G27] what is sealed opens for its own context, and shows nothing', () => {
  const sealer = createSealer({ keys: [one], random });
  for (const text of ['', 'x', uri, '\0 é 𝄞 \u{10ffff}', 'x'.repeat(65_536)]) {
    const sealed = sealer.seal(text, 'endpoint');
    expect(sealed).toMatch(/^v1\.one\.[\w-]{16}\.[\w-]*\.[\w-]{22}$/);
    expect(sealer.open(sealed, 'endpoint')).toBe(text);
  }
  expect(sealer.seal(uri, 'endpoint')).not.toBe(sealer.seal(uri, 'endpoint'));
  expect(sealer.seal(uri, 'endpoint')).not.toContain('canary');
});

test('[G27] a byte more is too large', () => {
  const sealer = createSealer({ keys: [one], random });
  expect(caught(() => sealer.seal('x'.repeat(65_537), 'endpoint'))).toMatchObject({
    code: 'too_large',
    facts: { max: 65_536, actual: 65_537 },
  });
});

test('[G27] any character that is changed, left out or added is noticed', () => {
  const sealer = createSealer({ keys: [one, two], random });
  const sealed = sealer.seal(uri, 'endpoint');
  for (let i = 0; i < sealed.length; i++) {
    const others = ['A', 'B', 'Q', 'g', 'w', '0', '-', '_', '.', '=', '+', ' ', '\0', 'é', ''];
    for (const other of [...others, `${sealed[i]}A`, `${sealed[i]}=`, `${sealed[i]}.`]) {
      if (other === sealed[i]) continue;
      const changed = sealed.slice(0, i) + other + sealed.slice(i + 1);
      // Some of these name a key that is not there.
      expect(['corrupt', 'invalid']).toContain(caught(() => sealer.open(changed, 'endpoint')).code);
    }
  }
  const renamed = sealed.replace('.one.', '.two.');
  expect(caught(() => sealer.open(renamed, 'endpoint')).code).toBe('corrupt');
  for (const text of ['', 'v1', 'v1.one', 'v1.one...', uri, 'v2.one.a.b.c', 'v1..a.b.c']) {
    expect(caught(() => sealer.open(text, 'endpoint')).code).toBe('corrupt');
  }
});

test('[G27] what was sealed for one endpoint does not open for another', () => {
  const sealer = createSealer({ keys: [one], random });
  const sealed = sealer.seal(uri, 'endpoint');
  for (const context of ['', 'endpoin', 'endpoint2', 'Endpoint', 'one.endpoint']) {
    expect(caught(() => sealer.open(sealed, context)).code).toBe('corrupt');
  }
});

test('[G27] a new first key seals, and the old ones open; a key that is gone is named', () => {
  const before = createSealer({ keys: [one], random });
  const after = createSealer({ keys: [two, one], random });
  const sealed = before.seal(uri, 'endpoint');
  expect(after.open(sealed, 'endpoint')).toBe(uri);
  const resealed = after.reseal(sealed, 'endpoint');
  expect(resealed).toMatch(/^v1\.two\./);
  expect(after.open(resealed ?? '', 'endpoint')).toBe(uri);
  expect(after.reseal(resealed ?? '', 'endpoint')).toBe(null);
  expect(caught(() => after.reseal(sealed, 'other')).code).toBe('corrupt');
  const missing = caught(() => before.open(resealed ?? '', 'endpoint'));
  expect(missing).toMatchObject({ code: 'invalid' });
  expect(missing.message).toContain("'two'");
});

test('[G27] another key of the same id does not open it', () => {
  const sealed = createSealer({ keys: [one], random }).seal(uri, 'endpoint');
  const other = createSealer({ keys: [{ id: 'one', key: Buffer.alloc(32, 9) }], random });
  expect(caught(() => other.open(sealed, 'endpoint')).code).toBe('corrupt');
});

test.each([
  ['none', []],
  ['31 bytes', [{ id: 'one', key: Buffer.alloc(31) }]],
  ['33 bytes', [{ id: 'one', key: Buffer.alloc(33) }]],
  ['a dot in its id', [{ id: 'o.ne', key: Buffer.alloc(32) }]],
  ['no id', [{ id: '', key: Buffer.alloc(32) }]],
  ['two of one id', [one, { ...two, id: 'one' }]],
])('[G27] keys are refused: %s', (_what, keys) => {
  expect(caught(() => createSealer({ keys, random })).code).toBe('invalid');
});

test('[G27] neither the sealer nor its errors show a secret', () => {
  const key = Buffer.from('canary-of-a-key-of-32-bytes-long');
  const sealer = createSealer({ keys: [{ id: 'one', key }], random });
  const sealed = sealer.seal(uri, 'endpoint');
  const errors = [
    caught(() => sealer.open(sealed, 'other')),
    caught(() => sealer.open(`${sealed}A`, 'endpoint')),
    caught(() => sealer.open(uri, 'endpoint')),
    caught(() => createSealer({ keys: [{ id: 'canary', key: key.subarray(1) }], random })),
    caught(() => sealer.seal(uri.repeat(9_999), 'endpoint')),
  ];
  for (const shown of [sealer, ...errors]) {
    const texts = [
      inspect(shown, { showHidden: true, depth: 9 }),
      JSON.stringify(shown),
      String(shown),
    ];
    const secrets = ['canary', key.toString('base64'), key.toString('hex'), '63 61 6e 61'];
    for (const secret of secrets) expect(texts.join('\n')).not.toContain(secret);
  }
});
