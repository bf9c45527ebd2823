import { expect, test } from 'vitest';
import WebSocket from 'ws';
import { serve } from './served.js';
import { EventReader } from './sse.js';

/** Readers in band: patterns, and cursors that the server keeps. */

const events = '/v1/ns/default/watch?tree&locks=false';

async function put(served: Awaited<ReturnType<typeof serve>>, ...paths: string[]): Promise<void> {
  for (const path of paths) await served.call('PUT', `/v1/ns/default/keys${path}`, { body: '1' });
}

const pathsOf = (told: readonly { data: Record<string, unknown> | undefined }[]): unknown[] =>
  told.map(({ data }) => data?.['path']);

test('[watch] a pattern lets through what it matches, and ids go on past the rest', async () => {
  await using served = await serve();
  await put(served, '/o/1', '/x/1', '/o/2');
  await using reader = await EventReader.open(`${served.base}${events}&pattern=/o/*`);
  expect(pathsOf(await reader.take(2))).toEqual(['/o/1', '/o/2']);
  await put(served, '/x/2', '/o/3');
  expect(pathsOf(await reader.take(1))).toEqual(['/o/3']);
  const bad = await served.call('GET', `${events}&pattern=`);
  expect(bad.status).toBe(400);
});

test('[watch] SSE: a reader with a cursor goes on where it said that it was', async () => {
  await using served = await serve();
  await put(served, '/1');
  const url = `${served.base}${events}&cursor=billing`;
  let id: string | undefined;
  {
    await using first = await EventReader.open(url);
    expect(pathsOf(await first.take(1))).toEqual(['/1']);
    await put(served, '/2');
    expect(pathsOf(await first.take(1))).toEqual(['/2']);
    id = first.lastEventId;
  }
  await put(served, '/3');
  {
    // It did not say what it has: so all comes again.
    await using again = await EventReader.open(url);
    expect(pathsOf(await again.take(3))).toEqual(['/1', '/2', '/3']);
  }
  {
    await using resumed = await EventReader.open(url, { 'last-event-id': id ?? '' });
    expect(pathsOf(await resumed.take(1))).toEqual(['/3']);
  }
  await using other = await EventReader.open(url);
  expect(pathsOf(await other.take(1))).toEqual(['/3']);
  const told = await served.call('GET', '/v1/ns/default/cursors');
  expect(told.json).toEqual({ cursors: [{ name: 'billing', id }] });
});

test('[watch] a cursor is moved, never back, and forgotten, by REST', async () => {
  await using served = await serve();
  const url = '/v1/ns/default/cursors/a';
  expect((await served.call('GET', url)).status).toBe(404);
  const move = (id: string) =>
    served.call('PUT', url, {
      body: JSON.stringify({ id }),
      headers: { 'content-type': 'application/json' },
    });
  expect((await move('5-x')).json).toEqual({ name: 'a', id: '5-x' });
  expect((await move('3-x')).json).toEqual({ name: 'a', id: '5-x' });
  expect((await move('1-y')).json).toEqual({ name: 'a', id: '1-y' });
  expect((await move('never')).status).toBe(400);
  expect((await served.call('PUT', '/v1/ns/default/cursors/a%2Fb')).status).toBe(400);
  expect((await served.call('DELETE', url)).json).toEqual({ deleted: true });
  expect((await served.call('DELETE', url)).json).toEqual({ deleted: false });
});

test('[watch] long poll: what it says to have been told moves its cursor', async () => {
  await using served = await serve();
  const { json: first } = await served.call('PUT', '/v1/ns/default/keys/1', { body: '1' });
  const url = '/v1/ns/default/keys?tree&wait=5s&cursor=poll';
  await put(served, '/2');
  const polled = await served.call('GET', `${url}&after=${String(first['revision'])}`);
  expect(
    pathsOf((polled.json['events'] as object[]).map((data) => ({ data: { ...data } }))),
  ).toEqual(['/2']);
  // It comes back without a word: what it was told last comes again.
  const again = await served.call('GET', url);
  expect(again.json['events']).toEqual(polled.json['events']);
});

test('[watch] WebSocket: acks move the cursor', async () => {
  await using served = await serve();
  await put(served, '/1', '/2');
  const url = `${served.base.replace('http', 'ws')}${events}&cursor=socket`;
  const first = new WebSocket(url);
  const id = await new Promise<string>((resolve, reject) => {
    first.on('message', (data: Buffer) => {
      const told = JSON.parse(data.toString()) as { id?: string };
      if (told.id !== undefined) resolve(told.id);
    });
    first.on('error', reject);
  });
  first.send(JSON.stringify({ ack: id }));
  await put(served, '/3');
  for (let kept = ''; kept !== id;) {
    const { json } = await served.call('GET', '/v1/ns/default/cursors/socket');
    kept = typeof json['id'] === 'string' ? json['id'] : '';
  }
  first.terminate();
  const second = new WebSocket(url);
  const told = await new Promise<{ path?: string }>((resolve, reject) => {
    second.once('message', (data: Buffer) =>
      resolve(JSON.parse(data.toString()) as { path?: string }),
    );
    second.on('error', reject);
  });
  expect(told.path).toBe('/3');
  const closed = new Promise<number>((resolve) => second.once('close', resolve));
  second.send('{"ack":7}');
  expect(await closed).toBe(1008);
});
