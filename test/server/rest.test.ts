import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Served, serve } from './served.js';

let served: Served;
beforeAll(async () => {
  served = await serve();
});
afterAll(async () => await served[Symbol.asyncDispose]());

const call: Served['call'] = (...args) => served.call(...args);

test('[rest] a value is kept byte for byte, its ETag is its revision', async () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
  const put = await call('PUT', '/v1/ns/a/keys/bytes', {
    body: bytes,
    headers: { 'content-type': 'text/xml' },
  });
  expect(put.status).toBe(200);
  expect(put.headers.get('etag')).toBe(`"${String(put.json['revision'])}"`);
  const response = await fetch(`${served.base}/v1/ns/a/keys/bytes`);
  expect(response.headers.get('content-type')).toBe('application/octet-stream');
  expect(response.headers.get('x-content-type-options')).toBe('nosniff');
  expect(new Uint8Array(await response.arrayBuffer())).toEqual(bytes);
  const same = await call('GET', '/v1/ns/a/keys/bytes', {
    headers: { 'if-none-match': put.headers.get('etag') ?? '' },
  });
  expect(same.status).toBe(304);
  const head = await call('HEAD', '/v1/ns/a/keys/bytes');
  expect([head.status, head.headers.get('x-waymark-version')]).toEqual([200, '1']);
});

test('[rest] an empty body is an empty value; text and JSON are told by looking', async () => {
  await call('PUT', '/v1/ns/a/keys/empty');
  await call('PUT', '/v1/ns/a/keys/text', { body: 'grüezi' });
  await call('PUT', '/v1/ns/a/keys/json', {
    body: '{"a":1}',
    headers: { 'content-type': 'application/json' },
  });
  await call('PUT', '/v1/ns/a/keys/broken', {
    body: '{"a":',
    headers: { 'content-type': 'application/json' },
  });
  const types = ['empty', 'text', 'json', 'broken'].map(async (name) => {
    const { text, headers } = await call('GET', `/v1/ns/a/keys/${name}`);
    return [text, headers.get('content-type')?.split(';')[0]];
  });
  expect(await Promise.all(types)).toEqual([
    ['', 'text/plain'],
    ['grüezi', 'text/plain'],
    ['{"a":1}', 'application/json'],
    ['{"a":', 'text/plain'],
  ]);
});

test('[rest] If-Match and If-None-Match make a write conditional, 412 else', async () => {
  const only = { 'if-none-match': '*' };
  expect((await call('PUT', '/v1/ns/a/keys/cas', { body: '1', headers: only })).status).toBe(200);
  const again = await call('PUT', '/v1/ns/a/keys/cas', { body: '2', headers: only });
  expect([again.status, again.json['code']]).toEqual([412, 'conflict']);
  const etag = (await call('GET', '/v1/ns/a/keys/cas')).headers.get('etag') ?? '';
  expect(
    (await call('PUT', '/v1/ns/a/keys/cas', { body: '3', headers: { 'if-match': etag } })).status,
  ).toBe(200);
  expect(
    (await call('DELETE', '/v1/ns/a/keys/cas', { headers: { 'if-match': etag } })).status,
  ).toBe(412);
  for (const tag of ['7', 'W/"7"', '"7", "8"', '"x"']) {
    expect((await call('PUT', '/v1/ns/a/keys/cas', { headers: { 'if-match': tag } })).status).toBe(
      400,
    );
  }
});

test('[rest] trees: pages, the past, keys alone, children, leaves, nearest, delete', async () => {
  for (const name of ['t', 't/a', 't/a/x', 't/b', 'tt'])
    await call('PUT', `/v1/ns/tree/keys/${name}`, { body: name });
  const first = await call('GET', '/v1/ns/tree/keys/t?tree&limit=2');
  expect(paths(first.json)).toEqual(['/t', '/t/a']);
  expect(first.json['more']).toBe(true);
  const at = String(first.json['revision']);
  await call('DELETE', '/v1/ns/tree/keys/t/b');
  expect(paths((await call('GET', `/v1/ns/tree/keys/t?tree&after=/t/a&at=${at}`)).json)).toEqual([
    '/t/a/x',
    '/t/b',
  ]);
  expect(paths((await call('GET', '/v1/ns/tree/keys/t?tree&after=/t/a')).json)).toEqual(['/t/a/x']);
  const bare = await call('GET', '/v1/ns/tree/keys/t?tree&keys_only&limit=1');
  expect(bare.json['entries']).toMatchObject([{ path: '/t' }]);
  expect(bare.text).not.toContain('base64');
  expect((await call('GET', '/v1/ns/tree/children')).json['entries']).toEqual(['t', 'tt']);
  expect((await call('GET', '/v1/ns/tree/leaves/t')).json['entries']).toEqual(['/t/a/x']);
  expect((await call('GET', '/v1/ns/tree/nearest/t/a/none/at/all')).json['path']).toBe('/t/a');
  expect((await call('GET', '/v1/ns/tree/nearest/none')).status).toBe(404);
  expect((await call('DELETE', '/v1/ns/tree/keys/t?tree')).json['deleted']).toBe(3);
  expect(paths((await call('GET', '/v1/ns/tree/keys?tree')).json)).toEqual(['/tt']);
});

test('[rest] a page ends early at 8 MiB of values, and goes on', async () => {
  const body = 'x'.repeat(1_000_000);
  for (let i = 10; i < 50; i++) await call('PUT', `/v1/ns/big/keys/${i}`, { body });
  const first = await call('GET', '/v1/ns/big/keys?tree');
  expect(first.json['more']).toBe(true);
  const last = paths(first.json).at(-1) ?? '';
  const rest = await call('GET', `/v1/ns/big/keys?tree&after=${last}`);
  expect(paths(first.json).length + paths(rest.json).length).toBe(40);
});

test('[rest] a transaction checks, writes and reads at one revision', async () => {
  const done = await call('POST', '/v1/ns/a/txn', {
    body: {
      when: [{ path: '/x', exists: false }],
      apply: [{ put: '/x', value: 'text' }, { put: '/y', base64: 'AP8=' }, { get: '/x' }],
      otherwise: [{ get: '/x' }],
    },
  });
  expect(done.json).toMatchObject({
    succeeded: true,
    results: [{}, {}, { type: 'get', entry: { value: 'text' } }],
  });
  const not = await call('POST', '/v1/ns/a/txn', {
    body: { when: [{ path: '/x', value: 'other' }], otherwise: [{ delete: '/x' }] },
  });
  expect(not.json).toMatchObject({ succeeded: false, results: [{ type: 'delete', deleted: 1 }] });
  expect((await call('GET', '/v1/ns/a/keys/y')).headers.get('content-type')).toBe(
    'application/octet-stream',
  );
});

test('[rest] leases: granted, shown, renewed, ended with their keys', async () => {
  const granted = await call('POST', '/v1/leases', { body: { ttlMs: 60_000 } });
  expect(granted.status).toBe(201);
  const id = String(granted.json['id']);
  await call('PUT', `/v1/ns/a/keys/leased?lease=${id}`, { body: 'x' });
  expect((await call('GET', '/v1/ns/a/keys/leased')).headers.get('x-waymark-lease')).toBe(id);
  expect((await call('POST', `/v1/leases/${id}/renew`)).json['ttlMs']).toBe(60_000);
  expect((await call('GET', `/v1/leases/${id}`)).status).toBe(200);
  expect((await call('DELETE', `/v1/leases/${id}`)).status).toBe(200);
  expect((await call('GET', '/v1/ns/a/keys/leased')).status).toBe(404);
  expect((await call('POST', `/v1/leases/${id}/renew`)).json['code']).toBe('not_found');
});

test('[rest] namespaces: listed, dumped, loaded, pruned, removed', async () => {
  await call('PUT', '/v1/ns/from/keys/a/b', { body: 'one' });
  const dump = await call('GET', '/v1/ns/from/dump');
  expect((await call('POST', '/v1/ns/to/load', { body: dump.json })).status).toBe(200);
  expect((await call('GET', '/v1/ns/to/keys/a/b')).text).toBe('one');
  expect((await call('GET', '/v1/ns')).json['namespaces']).toEqual(
    expect.arrayContaining(['from', 'to']),
  );
  const pruned = await call('POST', '/v1/ns/to/prune', { body: { olderThanMs: 0 } });
  expect(pruned.json['pruned']).toEqual(['/a/b']);
  expect((await call('DELETE', '/v1/ns/from')).status).toBe(204);
  expect((await call('GET', '/v1/ns/from/keys/a/b')).status).toBe(404);
});

test('[rest] a backup is every key at one revision, and says where it ends', async () => {
  const { text } = await call('GET', '/v1/backup');
  const lines = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(lines[0]).toMatchObject({ waymark: 'backup', format: 1 });
  expect(lines.at(-1)).toEqual({ end: true, entries: lines.length - 2 });
});

test('[rest] every error is a problem document with its code', async () => {
  const none = await call('GET', '/v1/ns/a/keys/none');
  expect(none.headers.get('content-type')).toContain('application/problem+json');
  expect(none.json).toMatchObject({ status: 404, code: 'not_found', path: '/none' });
  for (const path of ['/v2', '/v1/ns/a/nothing', '/v1/ns/a/keys/x%ff', '/v1/leases/abc']) {
    const { headers, json } = await call('GET', path);
    expect(headers.get('content-type'), path).toContain('application/problem+json');
    expect(json['code']).toMatch(/^(not_found|invalid)$/);
  }
  expect(none.headers.get('x-request-id')).toMatch(/^[\w-]{10,}$/);
});

test('[rest] the OpenAPI document names every route, its parameters and its bodies', async () => {
  const { json } = await call('GET', '/openapi.json');
  expect(json['openapi']).toBe('3.1.0');
  const routes = json['paths'] as Record<
    string,
    Record<string, { parameters?: { name: string; in: string }[] }>
  >;
  for (const [url, operations] of Object.entries(routes)) {
    expect(url).not.toContain('*');
    const named = [...url.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
    for (const operation of Object.values(operations)) {
      const declared = (operation.parameters ?? [])
        .filter((one) => one.in === 'path')
        .map((one) => one.name);
      expect(new Set(declared), url).toEqual(new Set(named));
    }
  }
  const expected = [
    'keys/{path}',
    'watch/{path}',
    'children/{path}',
    'leaves/{path}',
    'nearest/{path}',
    'txn',
    'dump',
    'load',
    'prune',
    'locks/{path}',
    'force-unlock/{path}',
  ];
  for (const route of expected) expect(Object.keys(routes)).toContain(`/v1/ns/{ns}/${route}`);
  for (const url of [
    '/v1/ns',
    '/v1/leases',
    '/v1/leases/{id}/renew',
    '/healthz',
    '/readyz',
    '/metrics',
    '/v1/backup',
  ]) {
    expect(Object.keys(routes)).toContain(url);
  }
  expect(Object.keys(routes['/v1/ns/{ns}/keys/{path}'] ?? {}).toSorted()).toEqual([
    'delete',
    'get',
    'put',
  ]);
});

test('[rest] health, readiness and the front page answer', async () => {
  expect((await call('GET', '/healthz')).json).toEqual({ ok: true });
  expect((await call('GET', '/readyz')).json).toMatchObject({ ok: true, engine: 'memory' });
  expect((await call('GET', '/')).text).toContain('/v1/ns/default/keys');
});

function paths(page: Record<string, unknown>): string[] {
  return (page['entries'] as { path: string }[]).map((entry) => entry.path);
}
