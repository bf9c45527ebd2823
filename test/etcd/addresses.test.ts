import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { open } from 'waymark';
import { startServer } from '@waymark/server';
import { startEtcd } from '@waymark/server/testing';
import { KV } from 'waymark/etcd';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { orNotRun } from '../support/not-run.js';
import { EtcdApi } from './client.js';

const run = promisify(execFile);
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'waymark-unix-'));
});

afterAll(() => rm(folder, { recursive: true }));

async function count(address: string): Promise<bigint> {
  using api = new EtcdApi(address);
  const all = { key: Buffer.of(0), rangeEnd: Buffer.of(0), countOnly: true };
  return (await api.call(KV.method.range, all)).count;
}

async function curl(...args: string[]): Promise<string> {
  return (await run('curl', ['-sS', '-m', '20', ...args])).stdout;
}

test('[listen] every protocol answers on every address, a Unix socket among them', async () => {
  const path = join(folder, 'all');
  const listen = ['127.0.0.1:0', `unix:${path}`, '127.0.0.1:0'];
  const server = await startServer({ engine: 'memory', logLevel: 'silent', listen });
  for (const [at, address] of server.addresses.entries()) {
    const socket = address.startsWith('unix:') ? ['--unix-socket', path] : [];
    const base = socket.length > 0 ? 'http://localhost' : `http://${address}`;
    const url = socket.length > 0 ? address : base;
    expect(await curl(...socket, `${base}/healthz`)).toBe('{"ok":true}');
    const body = JSON.stringify({ key: Buffer.from(`/${at}`).toString('base64') });
    const put = [...socket, '-d', body, `${base}/v3/kv/put`];
    expect(await curl(...put)).toContain('"revision"');
    expect(await curl('--http2-prior-knowledge', ...put)).toContain('"revision"');
    expect(await count(address)).toBe(BigInt(at + 1));
    await using space = await open(url);
    const { entries } = await space.namespace('etcd').children('/');
    expect(entries).toHaveLength(at + 1);
  }
  await server.close();
});

if (orNotRun('etcd-3.4', 'etcdctl over a Unix socket') !== null)
  test('[listen] etcdctl and clients of gRPC speak over a Unix socket', async () => {
    const path = join(folder, 'etcd');
    await using etcd = await startEtcd({ listen: `unix:${path}` });
    expect(etcd.url).toBe(`unix:${path}`);
    const ctl = async (...args: string[]): Promise<string> => {
      const env = { ...process.env, ETCDCTL_API: '3' };
      return (await run('etcdctl', [`--endpoints=unix://${path}`, ...args], { env })).stdout;
    };
    expect(await ctl('put', '/a', '1')).toBe('OK\n');
    expect(await ctl('get', '/a')).toBe('/a\n1\n');
    expect(await count(`unix:${path}`)).toBe(1n);
    expect(await count(`unix://${path}`)).toBe(1n);
  });
