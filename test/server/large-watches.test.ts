import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { ServerResponse } from 'node:http';
import { expect, test } from 'vitest';
import WebSocket from 'ws';
import { createMemoryEngine, type Engine } from 'waymark/engine';
import { type Served, serve } from './served.js';
import { EventReader } from './sse.js';

const values = 60;
const value = 'v'.repeat(300_000);
/** An event with its value as text and in base64, and what a socket takes before it says that it is full. */
const heldBytesMax = 1_048_576;

/** A server that holds more than may stand in memory at once, and history from its newest revision alone. */
async function withLarge(use: (served: Served, engine: Engine) => Promise<void>): Promise<void> {
  await using engine = createMemoryEngine();
  await using served = await serve({ engine });
  for (let n = 0; n < values; n++) {
    const { status } = await served.call('PUT', `/v1/ns/n/keys/t/${n}`, { body: value });
    expect(status).toBe(200);
  }
  await engine.compact((await engine.status()).revision);
  await use(served, engine);
}

/** The most that the response to `url` held back at any time while `read` ran. */
async function heldWhile(url: string, read: () => Promise<void>): Promise<number> {
  let held = 0;
  let watched: ServerResponse | undefined;
  const began = (message: unknown): void => {
    const { request, response } = message as {
      request: { url: string };
      response: ServerResponse;
    };
    if (request.url === url) watched = response;
  };
  const look = (): void => {
    held = Math.max(held, watched?.writableLength ?? 0);
    looking = setImmediate(look);
  };
  let looking = setImmediate(look);
  subscribe('http.server.request.start', began);
  try {
    await read();
  } finally {
    unsubscribe('http.server.request.start', began);
    clearImmediate(looking);
  }
  expect(watched).toBeDefined();
  return held;
}

test.each([
  ['what is there', {}, 0],
  ['a resync', { 'last-event-id': '1' }, 1],
])(
  '[watch] SSE: %s is written event by event, whatever it comes to',
  async (_what, headers, before) => {
    await withLarge(async (served) => {
      const url = '/v1/ns/n/watch/t?tree';
      const held = await heldWhile(url, async () => {
        await using stream = await EventReader.open(served.base + url, headers);
        const events = (await stream.take(before + values)).slice(before);
        const entries = events.map(({ data }) => data?.['entry'] as { value: string } | undefined);
        const lengths = entries.map((entry) => entry?.value.length);
        expect(lengths).toEqual(Array.from({ length: values }, () => value.length));
      });
      expect(held).toBeLessThan(heldBytesMax);
    });
  },
);

test('[watch] SSE: a server that stops tells no more to a reader that does not read', async () => {
  await withLarge(async (served) => {
    const url = '/v1/ns/n/watch/t?tree';
    const held = await heldWhile(url, async () => {
      await using stream = await EventReader.open(served.base + url, {});
      await stream.take(1);
      await served.server.close();
    });
    expect(held).toBeLessThan(heldBytesMax);
  });
});

test('[watch] WebSocket: a resync of large values is told whole', async () => {
  await withLarge(async (served) => {
    const socket = new WebSocket(`ws://${served.address}/v1/ns/n/watch/t?tree&after=1`);
    const kinds = await new Promise<unknown[]>((resolve, reject) => {
      const told: unknown[] = [];
      socket.on('error', reject);
      socket.on('message', (data: Buffer) => {
        const message = JSON.parse(data.toString()) as { kind?: string; resume?: number };
        if (message.resume !== undefined) return resolve(told);
        told.push(message.kind);
      });
    });
    socket.close();
    expect(kinds).toEqual(['resync', ...Array.from({ length: values }, () => 'put')]);
  });
});

test('[watch] long poll: a resync that no answer holds is compacted, and says how to go on', async () => {
  await withLarge(async (served, engine) => {
    const refused = await served.call('GET', '/v1/ns/n/keys/t?tree&wait=30s&after=1');
    const { revision } = await engine.status();
    expect(refused.status).toBe(410);
    expect(refused.json).toMatchObject({ code: 'compacted', revision });
    expect(refused.json['detail']).toContain('tree');
    const one = await served.call('GET', '/v1/ns/n/keys/t/7?wait=30s&after=1');
    expect(one.json['events']).toMatchObject([{ kind: 'resync' }, { kind: 'put', path: '/t/7' }]);
  });
});
