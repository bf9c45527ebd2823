import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { startServer } from '@waymark/server';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { open } from 'waymark';
import { createMemoryEngine } from 'waymark/engine';
import { certificates } from '../support/certificates.js';

/** Who a client with a certificate is. Those here have a common name, and `localhost` beside it. */

let folder: string;

beforeAll(async () => {
  folder = await certificates();
});

afterAll(() => rm(folder, { recursive: true }));

const file = (name: string): string => join(folder, name);

test('[A1.1] who shows a certificate is the user of its common name, or else of another name in it; a token goes first, and must be good', async () => {
  let root = '';
  const server = await startServer({
    ...{ engine: createMemoryEngine(), watchers: false, stash: false, logLevel: 'silent' },
    ...{ listen: ['127.0.0.1:0'], access: true, audit: () => {} },
    firstToken: (token) => (root = token),
    tls: { cert: file('server.crt'), key: file('server.key'), clientCa: file('ca.crt') },
  });
  const [address = ''] = server.addresses;
  const ask = async (method: string, path: string, body?: object): Promise<void> => {
    const type = body === undefined ? {} : { 'content-type': 'application/json' };
    const answer = await fetch(`http://${address}/v1/access/${path}`, {
      method,
      headers: { authorization: `Bearer ${root}`, ...type },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    expect(answer.ok, await answer.text()).toBe(true);
  };
  const files = new URLSearchParams({
    ca: file('ca.crt'),
    cert: file('client.crt'),
    key: file('client.key'),
  });
  const url = `https://${address}?${files.toString()}`;
  /** What a new connection may do with a path. */
  const reads = async (path: string, token?: string): Promise<string> => {
    try {
      await using space = await open(url, token === undefined ? {} : { token });
      await space.namespace('default').get(path);
      return 'done';
    } catch (error) {
      return (error as { code: string }).code;
    }
  };
  expect(await reads('/a')).toBe('unauthenticated');
  await ask('PUT', 'users/localhost');
  await ask('POST', 'roles/r/rules', { actions: ['read'], path: '/a' });
  await ask('POST', 'users/localhost/roles', { role: 'r' });
  expect(await reads('/a')).toBe('done');
  expect(await reads('/b')).toBe('denied');
  await ask('PUT', 'users/client');
  expect(await reads('/a'), 'the common name goes before the others').toBe('denied');
  expect(await reads('/b', root)).toBe('done');
  expect(await reads('/a', 'wmk_aaaaaaaaaaaaa_bbbbbbbbbbbbbbbb')).toBe('unauthenticated');
  await server.close();
});
