import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { codecs, open } from 'waymark';
import { errorTable } from 'waymark/engine';
import { Command, type Finished, runWaymark, serve } from '../support/command.js';

/** One server with a file engine and nothing else set up, as a process. */
let directory: string;
let server: Command;
let url: string;

async function start(...args: string[]): Promise<void> {
  ({ command: server, url } = await serve(['--engine', 'file:data', ...args], directory));
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'waymark-one-node-'));
  await start();
});
afterEach(async () => {
  await server.stop();
  await rm(directory, { recursive: true, force: true });
});

const run = (...args: string[]): Promise<Finished> => runWaymark(url, ['stash', ...args]).done;

describe('the command line', () => {
  test('[D3.1] put, get, del and indexes; exit 1 for what is not there', async () => {
    expect(await run('get', 'some', 'a')).toMatchObject({ code: 1, out: '' });
    expect(await run('put', 'some', 'a', 'one')).toMatchObject({ code: 0, out: '' });
    expect(await run('get', 'some', 'a')).toMatchObject({ code: 0, out: 'one\n' });
    expect((await runWaymark(url, ['stash', 'put', 'some', 'b', '-'], 'piped').done).code).toBe(0);
    expect(await run('get', 'some', 'b', '--raw', '--one')).toMatchObject({ out: 'piped' });
    expect(await run('put', 'some', 'c', 'd', '--json')).toMatchObject({
      out: '{"replicas":1,"flushed":1}\n',
    });
    expect((await run('indexes')).out).toBe('some\n');
    expect(await run('del', 'some', 'a', 'b', 'never')).toMatchObject({ code: 0 });
    expect((await run('scan', 'some')).out).toBe('c  d\n');
    expect((await run('scan', 'some', '--keys', '--json')).out).toBe('{"key":"c"}\n');
    expect((await run('get', '', 'a')).code).toBe(errorTable.invalid.exit);
    expect((await run('put', 'some', 'k'.repeat(1_025), 'v')).code).toBe(errorTable.too_large.exit);
  });

  test('[D4.5] an entry with a time to live goes', async () => {
    await run('put', 'some', 'short', 'v', '--ttl', '1ms');
    await run('put', 'some', 'long', 'v', '--ttl', '1h');
    expect(await run('get', 'some', 'short')).toMatchObject({ code: 1 });
    expect(await run('get', 'some', 'long')).toMatchObject({ code: 0 });
  });

  test('[D3.5] export writes what import takes, of any number and any bytes', async () => {
    const file = join(directory, 'in.ndjson');
    const lines = Array.from({ length: 5_000 }, (_, i) =>
      i % 7 === 0
        ? { key: ['t', i], base64: Buffer.from([i & 0xff, 0xff]).toString('base64') }
        : { key: `key/${i}`, value: `value ${i}` },
    );
    await writeFile(file, lines.map((line) => JSON.stringify(line)).join('\n'));
    expect(await run('import', 'many', file)).toMatchObject({ code: 0, out: '5000 imported\n' });
    const exported = await run('export', 'many');
    const found = exported.out.trimEnd().split('\n');
    expect(found.toSorted()).toEqual(lines.map((line) => JSON.stringify(line)).toSorted());
    const copy = join(directory, 'out.ndjson');
    expect((await run('export', 'many', copy, '--prefix', 'key/1')).code).toBe(0);
    const some = (await readFile(copy, 'utf8')).trimEnd().split('\n');
    expect(some).toHaveLength(lines.filter(({ key }) => String(key).startsWith('key/1')).length);
    const wrong = await runWaymark(url, ['stash', 'import', 'many'], '{"key":"a"}\n').done;
    expect(wrong.code).toBe(errorTable.invalid.exit);
    const torn = await runWaymark(url, ['stash', 'import', 'many'], '{"key":"a"').done;
    expect(torn.err).toContain('line 1');
  });

  test('[D3.1] status and nodes tell who keeps the data, and how many copies there are', async () => {
    const { out } = await run('status', '--json');
    const status = JSON.parse(out) as { nodes: { address: string }[] };
    expect(status).toMatchObject({ epoch: 1, replicas: 1, writeQuorum: 1, readQuorum: 1 });
    expect(status.nodes).toMatchObject([{ state: 'active', share: 1, weight: 1 }]);
    expect((await run('nodes')).out).toContain('active');
    expect((await run('status')).out).toContain('1 copies: 1 confirm a write');
  });
});

describe('the library', () => {
  test('[D3.1] values of any type, in batches, over a server', async () => {
    await using space = await open(url);
    const index = space.stash.index('typed');
    const value = { when: new Date(5), big: 7n, set: new Set([1]), nan: Number.NaN };
    await index.put(['order', 42], value);
    expect(await index.get(['order', 42])).toEqual(value);
    const entries = Array.from({ length: 3_000 }, (_, i) => [i, `value ${i}`] as const);
    expect(await index.putMany(entries)).toBe(3_000);
    const keys = entries.map(([key]) => key);
    expect(await index.getMany([...keys, -1])).toEqual([...entries.map(([, v]) => v), undefined]);
    expect(await index.deleteMany(keys)).toBe(3_000);
    expect(await index.has(5)).toBe(false);
  });

  test('[D4.3] what was acknowledged is there after a kill, and after a stop', async () => {
    await using before = await open(url);
    const index = before.stash.index('kept', { codec: codecs.text });
    await index.putMany(Array.from({ length: 500 }, (_, i) => [`${i}`, `${i}`] as const));
    await server.stop('SIGKILL');
    await start();
    expect((await run('get', 'kept', '499')).out).toBe('499\n');
    await server.stop();
    await start();
    expect((await run('get', 'kept', '0')).out).toBe('0\n');
    const { out } = await run('status', '--json');
    expect(JSON.parse(out)).toMatchObject({ epoch: 1, nodes: [{ state: 'active' }] });
  });
});

describe('where the node is', () => {
  test('[D4.1] beside the data, from its first use on; elsewhere or nowhere when told so', async () => {
    expect(existsSync(join(directory, 'data-stash'))).toBe(false);
    await run('put', 'some', 'a', 'v');
    expect(existsSync(join(directory, 'data-stash', 'data.mdb'))).toBe(true);
    await server.stop();
    await start('--no-stash');
    // The node of before is one that is away now.
    expect((await run('get', 'some', 'a', '--timeout', '20s')).code).toBe(
      errorTable.unavailable.exit,
    );
    await server.stop();
    await start('--stash', 'data-stash');
    expect((await run('get', 'some', 'a')).out).toBe('v\n');
  });

  test('[D4.4] a quota refuses values, and not deletes', async () => {
    await server.stop();
    await start('--stash', 'small', '--stash-quota', '400000');
    const big = 'x'.repeat(50_000);
    const codes = new Set<number>();
    for (let i = 0; i < 12; i++) {
      codes.add((await runWaymark(url, ['stash', 'put', 'some', `k${i}`, '-'], big).done).code);
    }
    expect([...codes]).toEqual([0, errorTable.storage_full.exit]);
    expect((await run('del', 'some', 'k0', 'k1', 'k2', 'k3')).code).toBe(0);
    expect((await runWaymark(url, ['stash', 'put', 'some', 'again', '-'], big).done).code).toBe(0);
  });

  test('a server in memory has none, and says how to start one', async () => {
    const { command, url: memory } = await serve(['--engine', 'memory']);
    try {
      const told = await runWaymark(memory, ['stash', 'put', 'some', 'a', 'v']).done;
      expect(told.code).toBe(errorTable.unavailable.exit);
      expect(told.err).toContain('waymark stash --data');
    } finally {
      await command.stop();
    }
  });
});

describe('REST', () => {
  const call = async (method: string, path: string, body?: string, type?: string) => {
    const headers = type === undefined ? {} : { 'content-type': type };
    const sent = { method, headers, ...(body === undefined ? {} : { body }) };
    const response = await fetch(`${url}/v1/stash${path}`, sent);
    return { status: response.status, text: await response.text() };
  };

  test('[D3.1] an entry is a resource: PUT, GET, HEAD, DELETE; its key may hold slashes', async () => {
    expect(await call('PUT', '/some/a/b%2Fc%20d', 'bytes')).toEqual({
      status: 200,
      text: '{"replicas":1,"flushed":1}',
    });
    expect(await call('GET', '/some/a/b/c%20d')).toEqual({ status: 200, text: 'bytes' });
    expect((await call('HEAD', '/some/a/b/c%20d')).status).toBe(200);
    expect((await call('PUT', '/some/a/b/c%20d?ttl=1ms', 'short')).status).toBe(200);
    expect((await call('HEAD', '/some/a/b/c%20d')).status).toBe(404);
    expect((await call('GET', '/some/none?level=one')).status).toBe(404);
    expect((await call('DELETE', '/some/none')).status).toBe(200);
    expect((await call('GET', '/some/x?level=two')).status).toBe(400);
    expect((await call('PUT', `/some/${'k'.repeat(1_025)}`, 'v')).status).toBe(413);
  });

  test('[D3.6] indexes and pages of entries', async () => {
    for (const key of ['a/1', 'a/2', 'b/1']) await call('PUT', `/some/${key}`, key);
    expect((await call('GET', '')).text).toBe('{"indexes":["some"]}');
    const found: string[] = [];
    for (let after = ''; ;) {
      const query = after === '' ? '' : `&after=${encodeURIComponent(after)}`;
      const { text } = await call('GET', `/some?prefix=a/&limit=1${query}`);
      const page = JSON.parse(text) as { entries: { key: string }[]; next: string | null };
      found.push(...page.entries.map(({ key }) => key));
      if (page.next === null) break;
      after = page.next;
    }
    expect(found.sort()).toEqual(['a/1', 'a/2']);
    expect((await call('GET', '/some?limit=0')).status).toBe(400);
    expect(JSON.parse((await call('GET', '/status')).text)).toMatchObject({ replicas: 1 });
  });

  test('[D3.5] a batch in JSON, and one in lines of any number', async () => {
    const json = JSON.stringify({
      put: [
        { key: 'x', value: '1' },
        { key: [1, 'y'], base64: 'AAE=' },
      ],
      get: ['x', [1, 'y'], 'z'],
    });
    const { text } = await call('POST', '/some:batch', json, 'application/json');
    expect(JSON.parse(text)).toMatchObject({
      put: 2,
      deleted: 0,
      got: [
        { key: 'x', found: true, value: '1' },
        { key: [1, 'y'], found: true, base64: 'AAE=' },
        { key: 'z', found: false },
      ],
    });
    const puts = Array.from({ length: 4_000 }, (_, i) => ({ put: `n${i}`, value: `v${i}` }));
    const gets = puts.map(({ put }) => ({ get: put }));
    const lines = [...puts, ...gets, { delete: 'n0' }, { get: 'n0' }].map((one) =>
      JSON.stringify(one),
    );
    const done = await call('POST', '/some:batch', lines.join('\n'), 'application/x-ndjson');
    const told = done.text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(told).toHaveLength(4_002);
    expect(told[3_999]).toMatchObject({ key: 'n3999', found: true, value: 'v3999' });
    expect(told.at(-2)).toMatchObject({ key: 'n0', found: false });
    expect(told.at(-1)).toEqual({ put: 4_000, deleted: 1, got: 4_001 });
    const wrong = await call(
      'POST',
      '/some:batch',
      '{"put":"a","value":"1"}\n{"pot":1}',
      'application/x-ndjson',
    );
    expect(JSON.parse(wrong.text.trimEnd())).toMatchObject({ error: { code: 'invalid' } });
    expect((await call('POST', '/some', json, 'application/json')).status).toBe(404);
    expect((await call('POST', '/some:batch', '{"pot":1}', 'application/json')).status).toBe(400);
  });

  test('[D3.5] of large values lines tell as many as are asked for, and JSON at once no more than 16 MiB', async () => {
    const value = 'x'.repeat(1_000_000);
    const put = Array.from({ length: 17 }, (_, i) => `large${i}`);
    for (const key of put) expect((await call('PUT', `/some/${key}`, value)).status).toBe(200);
    const json = (get: readonly string[]) =>
      call('POST', '/some:batch', JSON.stringify({ get }), 'application/json');
    const some = JSON.parse((await json(put.slice(0, 16))).text) as { got: { value: string }[] };
    expect(some.got.map((one) => one.value.length)).toEqual(Array(16).fill(1_000_000));
    const refused = await json(put);
    expect(refused.status).toBe(413);
    expect(JSON.parse(refused.text)).toMatchObject({ code: 'too_large', max: 16_777_216 });
    const lines = put.map((get) => JSON.stringify({ get })).join('\n');
    const done = await call('POST', '/some:batch', lines, 'application/x-ndjson');
    expect(done.text.length).toBeGreaterThan(17_000_000);
    expect(done.text.trimEnd().split('\n').at(-1)).toBe('{"put":0,"deleted":0,"got":17}');
  });

  test('the OpenAPI document and the metrics tell of it', async () => {
    await call('PUT', '/some/a', 'v');
    const document = (await (await fetch(`${url}/openapi.json`)).json()) as { paths: object };
    expect(Object.keys(document.paths)).toEqual(
      expect.arrayContaining(['/v1/stash', '/v1/stash/{index}', '/v1/stash/{index}:batch']),
    );
    const metrics = await (await fetch(`${url}/metrics`)).text();
    expect(metrics).toMatch(/^waymark_stash_records 1$/m);
    expect(metrics).toMatch(/^waymark_stash_read_only 0$/m);
    expect(metrics).toMatch(/^waymark_stash_flush_seconds_count [1-9]/m);
  });
});
