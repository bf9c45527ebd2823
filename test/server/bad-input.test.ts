import { afterAll, beforeAll, expect, test } from 'vitest';
import { limits } from 'waymark';
import { rawRequest, type Served, serve } from './served.js';

let served: Served;
beforeAll(async () => {
  served = await serve();
});
afterAll(async () => await served[Symbol.asyncDispose]());

const call: Served['call'] = (...args) => served.call(...args);
const long = (segments: number): string => Array.from({ length: segments }, () => 's').join('/');

/** Targets are sent as they stand: clients tidy most of these up before they send. */
const targets: readonly (readonly [string, string, number])[] = [
  ['32 deep', long(32), 200],
  ['33 deep', long(33), 413],
  ['1 024 bytes', 'x'.repeat(1_023), 200],
  ['1 025 bytes', 'x'.repeat(1_024), 413],
  ['`..`', 'a/../b', 400],
  ['`..` encoded', 'a/%2e%2E/b', 400],
  ['`.`', 'a/./b', 400],
  ['`..%2f`', '..%2fa', 400],
  ['%2F in a segment', 'a%2Fb', 400],
  ['an empty segment', 'a//b', 400],
  ['a slash at the end', 'a/', 400],
  ['NUL', 'a%00b', 400],
  ['a lone surrogate', 'a%ED%A0%80', 400],
  ['half an escape', 'a%4', 400],
  ['malformed UTF-8', 'a%ff', 400],
  ['`__proto__`', '__proto__/constructor', 200],
  ['a backslash', 'a%5Cb', 200],
  ['decoded once', 'a%252Fb', 200],
];

for (const [what, path, status] of targets) {
  test(`[bad input] a path with ${what}: ${status}`, async () => {
    expect(
      await rawRequest(served.port, 'PUT', `/v1/ns/paths/keys/${path}`, 'Content-Length: 0\r\n'),
    ).toBe(status);
    if (status !== 200) return;
    expect(await rawRequest(served.port, 'GET', `/v1/ns/paths/keys/${path}`)).toBe(200);
  });
}

test('[bad input] %252F is the text %2F, and no slash', async () => {
  await call('PUT', '/v1/ns/once/keys/a%252Fb', { body: '1' });
  expect((await call('GET', '/v1/ns/once/keys?tree')).json['entries']).toMatchObject([
    { path: '/a%2Fb' },
  ]);
});

test('[bad input] names of namespaces', async () => {
  for (const name of ['a%2Fb', '..', '%2e%2e', 'a%00', 'n'.repeat(129), '%ff']) {
    const status = await rawRequest(
      served.port,
      'PUT',
      `/v1/ns/${name}/keys/x`,
      'Content-Length: 0\r\n',
    );
    expect([400, 404, 413], name).toContain(status);
  }
  expect((await call('GET', '/v1/ns')).text).not.toContain('..');
});

test('[bad input] a value at its limit and one over', async () => {
  const at = await call('PUT', '/v1/ns/a/keys/v', { body: new Uint8Array(limits.valueBytesMax) });
  const over = await call('PUT', '/v1/ns/a/keys/v', {
    body: new Uint8Array(limits.valueBytesMax + 1),
  });
  expect([at.status, over.status, over.json['limit']]).toEqual([200, 413, 'valueBytesMax']);
});

test('[bad input] a body over its limit is refused by its length, before it is sent', async () => {
  const over = `Content-Length: ${limits.requestBytesMax + 1}\r\n`;
  expect(await rawRequest(served.port, 'PUT', '/v1/ns/a/keys/v', over)).toBe(413);
});

test('[bad input] 127, 128 and 129 operations', async () => {
  const statuses = [127, 128, 129].map(async (count) => {
    // The write guard adds checks, and no operations that count, to a namespace without locks.
    const apply = Array.from({ length: count }, (_, i) => ({ get: `/k${i}` }));
    return (await call('POST', '/v1/ns/a/txn', { body: { apply } })).status;
  });
  expect(await Promise.all(statuses)).toEqual([200, 200, 413]);
});

test('[bad input] TTLs', async () => {
  const body = (ttl: string): string => `{"ttlMs":${ttl}}`;
  const headers = { 'content-type': 'application/json' };
  for (const ttl of [
    '0',
    '-1',
    '999',
    '1e12',
    '1.5e3001',
    '1000.5',
    'null',
    '"5000"',
    'true',
    'NaN',
    '[]',
  ]) {
    const refused = await call('POST', '/v1/leases', { body: body(ttl), headers });
    expect([refused.status, refused.json['code']], ttl).toEqual([400, 'invalid']);
  }
  expect((await call('POST', '/v1/leases', { body: body('1000'), headers })).status).toBe(201);
});

test('[bad input] __proto__ and constructor in JSON are refused, and pollute nothing', async () => {
  const headers = { 'content-type': 'application/json' };
  for (const body of [
    '{"__proto__":{"polluted":1},"apply":[]}',
    '{"apply":[{"put":"/p","value":"x","__proto__":{"polluted":1}}]}',
    '{"constructor":{"prototype":{"polluted":1}}}',
  ]) {
    expect((await call('POST', '/v1/ns/a/txn', { body, headers })).status).toBe(400);
  }
  expect(({} as { polluted?: number }).polluted).toBeUndefined();
  await call('PUT', '/v1/ns/a/keys/proto', { body: '{"__proto__":1}' });
  expect((await call('GET', '/v1/ns/a/keys/proto')).text).toBe('{"__proto__":1}');
});

test('[bad input] transactions that are none', async () => {
  for (const body of [
    { apply: [{ put: '/x' }] },
    { apply: [{ put: '/x', value: 'a', base64: 'YQ==' }] },
    { apply: [{ put: '/x', value: '\ud800' }] },
    { apply: [{ put: '/x', base64: '*' }] },
    { apply: [{ put: '/x', value: 'a', get: '/x' }] },
    { apply: [{}] },
    { when: [{ path: '/x' }] },
    { when: [{ path: '/x', revision: null }] },
    { when: [{ path: '/x\ud800', exists: true }] },
    { apply: [{ put: '/x\0', value: '' }] },
    { apply: [{ put: '/../x', value: '' }] },
    {
      apply: [
        { put: '/x', value: '1' },
        { put: '/x', value: '2' },
      ],
    },
    { unknown: true },
    [],
  ]) {
    const refused = await call('POST', '/v1/ns/a/txn', { body });
    expect([refused.status, refused.json['code']], JSON.stringify(body)).toEqual([400, 'invalid']);
  }
  expect(
    (
      await call('POST', '/v1/ns/a/txn', {
        body: '{',
        headers: { 'content-type': 'application/json' },
      })
    ).status,
  ).toBe(400);
});

test('[bad input] parameters', async () => {
  for (const query of [
    'at=1&at=2',
    'at=-1',
    'at=1e3',
    'at=abc',
    'limit=0',
    'limit=1001',
    'wait=forever',
    'wait=11m',
    'after=../x',
  ]) {
    expect((await call('GET', `/v1/ns/a/keys/x?tree&${query}`)).status, query).toBe(400);
  }
  expect((await call('GET', '/v1/ns/a/keys/x?at=999999')).json['code']).toBe('future_revision');
  expect((await call('PUT', '/v1/ns/a/keys/x?lease=12345')).json['code']).toBe('not_found');
});

test('[bad input] bytes that are no request get a problem, or the connection ends', async () => {
  for (const bytes of [
    'GET / HTTP/9.9',
    'GET\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n',
  ]) {
    const { raw } = await import('./served.js');
    const answer = await raw(served.port, `${bytes}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 400 .*application\/problem\+json/s);
  }
  const headers = `X-Long: ${'x'.repeat(20_000)}\r\n`;
  expect(await rawRequest(served.port, 'GET', '/', headers)).toBe(431);
});
