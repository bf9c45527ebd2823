import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { open } from 'waymark';
import { runWaymark, serve } from '../support/command.js';

/** Secrets that are looked for in all that a server says and writes. */
const password = 'CANARY-pa55word';
const signing = `whsec_${Buffer.from('CANARY-signing-secret-of-32-bytes').toString('base64')}`;
const token = 'CANARY-t0ken';
const canaries = [
  password,
  encodeURIComponent(password),
  Buffer.from(password).toString('base64').slice(0, -2),
  signing.slice('whsec_'.length),
  'CANARY',
];

/** Nobody listens there: each delivery fails, which is when drivers have most to say. */
const endpoints = [
  `http://user:${password}@127.0.0.1:1/hook?token=${token}`,
  `https://user:${password}@127.0.0.1:1/hook`,
  `amqp://user:${password}@127.0.0.1:1/vhost`,
  `redis://${password}@127.0.0.1:1/0?stream=s`,
  `redis://user:${password}@127.0.0.1:1/0?list=l`,
  `mysql://user:${password}@127.0.0.1:1/db/table`,
  `postgres://user:${password}@127.0.0.1:1/db/table`,
  `ws://user:${password}@127.0.0.1:1/hook`,
  `nats://user:${password}@127.0.0.1:1/subject`,
];
/** Refused, and told why. */
const wrong = [
  `gopher://user:${password}@127.0.0.1/`,
  `http://user:${password}@127.0.0.1:99999/`,
  `mysql://user:${password}@127.0.0.1/`,
  `amqp://user:${password}@127.0.0.1/a/b/c?unknown=${password}`,
  `redis://user:${password}@127.0.0.1/nodb`,
  `http://user:${password}@ /`,
];

function filesBelow(directory: string): string[] {
  return readdirSync(directory).flatMap((name) => {
    const path = join(directory, name);
    return statSync(path).isDirectory() ? filesBelow(path) : [path];
  });
}

test('[W3] a password, a token and a signing secret stand in no log, answer, metric, error or file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'waymark-canary-'));
  const said: string[] = [];
  const data = join(folder, 'data');
  const allowed = ['--allow-endpoint-net', '127.0.0.0/8'];
  const { command, url } = await serve([
    '--engine',
    `file:${data}`,
    '--log-level',
    'debug',
    ...allowed,
  ]);
  const space = await open(url);
  try {
    const keep = { end: 'keep', retry: [10], pattern: '/*' } as const;
    const ids: string[] = [];
    for (const endpoint of endpoints) {
      const signed = endpoint.startsWith('http') ? { secret: signing } : {};
      const added = await space.watchers.add({ ...keep, ...signed, endpoint });
      said.push(JSON.stringify(added));
      ids.push(added.watcher.id);
    }
    for (const endpoint of wrong) {
      const body = JSON.stringify({ pattern: '/*', endpoint });
      const headers = { 'content-type': 'application/json' };
      const response = await fetch(`${url}/v1/watchers`, { method: 'POST', headers, body });
      expect(response.status, endpoint).toBe(400);
      said.push(await response.text());
      const refused = await runWaymark(url, ['watcher', 'add', '/*', endpoint]).done;
      said.push(refused.out, refused.err);
    }
    await space.namespace('default').put('/x', 1);
    const skipped = new Set<string>();
    for await (const event of space.watchers.events({ after: '0' })) {
      said.push(JSON.stringify(event));
      if (event.kind === 'skipped') for (const id of event.watchers) skipped.add(id);
      if (skipped.size === ids.length) break;
    }
    for (const id of ids) {
      said.push(JSON.stringify(await space.watchers.test(id)));
      said.push(JSON.stringify(await space.watchers.deadLetters(id)));
      said.push(await (await fetch(`${url}/v1/watchers/${id}`)).text());
      const shown = await runWaymark(url, ['watcher', 'show', id]).done;
      said.push(shown.out, shown.err);
    }
    for (const path of [
      '/v1/watchers',
      '/metrics',
      '/v1/watchers/processors',
      '/readyz',
      '/v1/backup',
    ]) {
      said.push(await (await fetch(url + path)).text());
    }
    said.push((await runWaymark(url, ['watcher', 'ls']).done).out);
  } finally {
    await space.close();
    const { out, err } = await command.stop();
    said.push(out, err);
  }
  const files = filesBelow(data);
  expect(files.length).toBeGreaterThan(0);
  for (const file of files) said.push(readFileSync(file, 'latin1'));
  rmSync(folder, { recursive: true });
  const all = said.join('\n');
  // It would see one: the host of every endpoint is there.
  expect(all).toContain('127.0.0.1:1');
  for (const canary of canaries) {
    const at = all.indexOf(canary);
    expect(at < 0 ? '' : all.slice(Math.max(0, at - 200), at + 80), canary).toBe('');
  }
}, 120_000);
