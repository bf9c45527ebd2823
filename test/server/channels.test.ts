import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { expect, test } from 'vitest';
import { open } from 'waymark';
import { readFile } from 'node:fs/promises';
import { channels } from '../../packages/server/src/observe/channels.js';
import { raw, serve } from './served.js';

/** What is told on a channel while `work` runs. */
async function told(name: string, work: () => Promise<void>): Promise<Record<string, unknown>[]> {
  const heard: Record<string, unknown>[] = [];
  const listen = (message: unknown): void => void heard.push(message as Record<string, unknown>);
  subscribe(name, listen);
  try {
    await work();
  } finally {
    unsubscribe(name, listen);
  }
  return heard;
}

test('[channels] calls of a space are told with how they ended, and who does not listen pays nothing', async () => {
  const calls = await told('waymark:call', async () => {
    await using space = await open();
    const ns = space.namespace('a');
    await ns.put('/x', 1);
    await expect(ns.get('/x', { at: 99 })).rejects.toMatchObject({ code: 'future_revision' });
    await (await ns.lock('/l')).release();
  });
  expect(calls[0]).toMatchObject({
    name: 'commit',
    kind: 'internal',
    attributes: { 'waymark.namespace': 'a' },
    error: undefined,
  });
  expect(calls[1]).toMatchObject({ name: 'read', error: { code: 'future_revision' } });
  const acquired = calls.find(({ name }) => name === 'acquire');
  expect(acquired?.['attributes']).toEqual({ 'waymark.namespace': 'a', 'waymark.path': '/l' });
  expect(calls.every(({ tookMs }) => typeof tookMs === 'number')).toBe(true);
});

test('[channels] a server tells of requests, its engine and connections it does not serve', async () => {
  await using served = await serve({ firstByteMs: 1_000 });
  const put = (): Promise<unknown> =>
    served.call('PUT', '/v1/ns/a/keys/x', { body: '1', headers: { 'x-request-id': 'mine-1' } });
  const [request] = await told(channels.request.name as string, async () => {
    await put();
    // The answer is out before the hook that tells of it.
    await served.call('GET', '/healthz');
  });
  expect(request).toMatchObject({ method: 'PUT', status: '200', requestId: 'mine-1' });
  const engine = await told(channels.engine.name as string, async () => {
    for (let i = 0; i < 8; i++) await put();
  });
  expect(engine).toContainEqual(expect.objectContaining({ call: 'commit', error: undefined }));
  const refused = await told(channels.refused.name as string, async () => {
    await raw(served.port, '\x05\x01\x02');
  });
  expect(refused).toEqual([{ reason: 'unknown' }]);
});

test('[channels] the page names all of them, and no other', async () => {
  const page = await readFile(new URL('../../docs/reference/channels.md', import.meta.url), 'utf8');
  const documented = [...page.matchAll(/^\| `(waymark:[\w.]+)`/gm)].map(([, name]) => name);
  const known = Object.values(channels).map(({ name }) => name);
  expect(documented.sort()).toEqual(['waymark:call', ...known].sort());
});
