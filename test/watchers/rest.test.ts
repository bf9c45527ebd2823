import { open } from 'waymark';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { serve, type Served } from '../server/served.js';
import { badWishes } from './bad-wishes.js';

let server: Served;
const root = '/v1/watchers';
const wish = { pattern: '/o/*', endpoint: 'http://u:canary@192.0.2.1/hook' };

beforeAll(async () => {
  server = await serve();
});
afterAll(async () => await server[Symbol.asyncDispose]());

test('[W5.1] a registration is 201, the same one again 200, and one that is gone 404', async () => {
  const first = await server.call('POST', root, { body: wish });
  expect(first.status).toBe(201);
  const again = await server.call('POST', root, { body: { ...wish, owner: 'ann' } });
  expect(again.status).toBe(200);
  const { id } = again.json['watcher'] as { id: string };
  const found = await server.call('GET', `${root}/${id}`);
  expect(found.json).toMatchObject({ id, owner: 'ann', endpoint: 'http://***@192.0.2.1/hook' });
  expect(`${first.text}${again.text}${found.text}`).not.toContain('canary');
  expect((await server.call('DELETE', `${root}/${id}`)).json).toEqual({ removed: true });
  expect((await server.call('GET', `${root}/${id}`)).status).toBe(404);
  expect((await server.call('PATCH', `${root}/${id}`, { body: {} })).status).toBe(404);
});

test('[W5.1] another option than the endpoint stands with is 412', async () => {
  const labels = { of: 'conflict' };
  await server.call('POST', root, { body: { ...wish, labels, batch: 3 } });
  const other = { ...wish, labels, pattern: '/p/*', batch: 4 };
  const refused = await server.call('POST', root, { body: other });
  expect(refused).toMatchObject({ status: 412, json: { code: 'conflict' } });
  const removed = await server.call('DELETE', `${root}?label=of=conflict`);
  expect(removed.json).toEqual({ count: 1 });
});

test('[W4.2] what becomes of watchers is streamed, and goes on after an id', async () => {
  const leave = new AbortController();
  const { signal } = leave;
  const stream = await fetch(`${server.base}${root}/events`, { signal });
  const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader();
  const read = async (text: string, until: RegExp): Promise<string> => {
    if (until.test(text)) return text;
    const { value = '', done } = (await reader?.read()) ?? { done: true };
    return done ? text : await read(text + value, until);
  };
  await read('', /connected/);
  await server.call('GET', `${root}/mode`);
  const { json } = await server.call('POST', root, { body: wish });
  const { id } = json['watcher'] as { id: string };
  const told = await read('', /"kind":"registered".*\n\n/);
  const last = /^id: (.*)$/m.exec(told)?.[1] ?? '';
  expect(told).toMatch(/^event: watcher$/m);
  leave.abort();
  await server.call('DELETE', `${root}/${id}`);
  await using space = await open(server.base);
  const next = await space.watchers.events({ after: last }).next();
  expect(next.value).toMatchObject({ kind: 'removed', watchers: [id] });
});

test.each(badWishes)('[W5.1] over REST, %s is refused', async (_name, wrong, _part) => {
  const before = (await server.call('GET', root)).json['watchers'];
  const { status, json, text } = await server.call('POST', root, { body: wrong });
  expect([400, 413]).toContain(status);
  expect(json['code']).toMatch(/^(invalid|too_large)$/);
  expect(text).not.toContain('canary');
  expect((await server.call('GET', root)).json['watchers']).toEqual(before);
});

test.each(badWishes)('[W5.1] over the library, %s is refused', async (_name, wrong) => {
  await using space = await open(server.base);
  await expect(space.watchers.add(wrong as never)).rejects.toMatchObject({
    code: expect.stringMatching(/^(invalid|too_large)$/),
  });
});
