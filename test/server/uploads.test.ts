import { connect, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { limits } from 'waymark';
import { type Served, serve } from './served.js';

/** An upload over a socket of its own, that sends what it is told to. */
class SlowUpload implements Disposable {
  heard = '';
  closed = false;
  readonly socket: Socket;

  constructor({ port }: Served, key: string, announced: number) {
    this.socket = connect(port, '127.0.0.1');
    this.socket.on('data', (bytes) => (this.heard += bytes.toString('latin1')));
    this.socket.on('error', () => undefined).on('close', () => (this.closed = true));
    const head = `PUT /v1/ns/n/keys/${key} HTTP/1.1\r\nHost: localhost\r\n`;
    this.socket.write(`${head}Content-Length: ${announced}\r\n\r\n`);
  }

  send(bytes: number): this {
    this.socket.write('x'.repeat(bytes));
    return this;
  }

  /** Resolves with the status of its answer. */
  async answered(): Promise<number> {
    while (!this.heard.includes('\r\n\r\n')) await new Promise((done) => setImmediate(done));
    return Number(/^HTTP\/1\.1 (\d+)/.exec(this.heard)?.[1]);
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

async function figure(served: Served, name: string): Promise<number> {
  const { text } = await served.call('GET', '/metrics');
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1]);
}

async function coming(served: Served, bytes: number): Promise<void> {
  while ((await figure(served, 'waymark_http_bodies_coming_bytes')) !== bytes);
}

test('[limits] a hundred uploads that announce much and send nothing hold no turn and no bytes', async () => {
  await using served = await serve({ inFlightMax: 1, inFlightWaitMs: 50 });
  const slow = Array.from({ length: 120 }, (_, n) =>
    new SlowUpload(served, `slow-${n}`, limits.requestBytesMax).send(1),
  );
  while ((await figure(served, 'waymark_http_requests_under_way')) < slow.length);
  expect(await figure(served, 'waymark_calls_in_flight')).toBe(0);
  const put = await served.call('PUT', '/v1/ns/n/keys/quick', { body: 'x'.repeat(1_000_000) });
  expect(put.status).toBe(200);
  expect((await served.call('GET', '/v1/ns/n/keys/quick')).status).toBe(200);
  for (const one of slow) one[Symbol.dispose]();
  while ((await figure(served, 'waymark_http_requests_under_way')) > 1);
});

test('[limits] bytes of bodies that are coming: they fit to the last one; one more, and the oldest gives way', async () => {
  await using served = await serve({ inFlightBytesMax: 100_000, inFlightWaitMs: 50 });
  using oldest = new SlowUpload(served, 'a', 80_000).send(50_000);
  await coming(served, 50_000);
  using newer = new SlowUpload(served, 'b', 60_000).send(49_999);
  await coming(served, 99_999);
  newer.send(1);
  await coming(served, 100_000);
  // What fits beside the head is not counted: such bodies are served meanwhile.
  using small = new SlowUpload(served, 'c', 16_384).send(16_383);
  expect((await served.call('PUT', '/v1/ns/n/keys/d', { body: '1' })).status).toBe(200);
  expect([oldest.heard, newer.heard, small.heard]).toEqual(['', '', '']);
  newer.send(1);
  expect(await oldest.answered()).toBe(503);
  expect(oldest.heard).toMatch(/^retry-after: 1\r$/im);
  expect(oldest.heard).toMatch(/^connection: close\r$/im);
  expect(oldest.heard).toContain('"limit":"inFlightBytesMax","max":100000');
  await coming(served, 50_001);
  expect(await newer.send(9_999).answered()).toBe(200);
  expect(await small.send(1).answered()).toBe(200);
  await coming(served, 0);
});

test('[limits] who breaks off an upload leaves nothing behind', async () => {
  await using served = await serve({});
  const gone = new SlowUpload(served, 'a', 80_000).send(50_000);
  await coming(served, 50_000);
  gone[Symbol.dispose]();
  await coming(served, 0);
  expect(await figure(served, 'waymark_calls_in_flight')).toBe(0);
});

test('[limits] what is refused without being read keeps its connection, and its answer is as any other', async () => {
  await using served = await serve({ rate: { perSecond: 1, burst: 1 } });
  const ask = 'PUT /v1/ns/n/keys/a HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: mine\r\n';
  const socket = connect(served.port, '127.0.0.1');
  let heard = '';
  socket.on('data', (bytes) => (heard += bytes.toString('latin1')));
  const answers = async (count: number): Promise<string[]> => {
    while (heard.split('HTTP/1.1 ').length <= count)
      await new Promise((done) => setImmediate(done));
    return heard.split('HTTP/1.1 ').slice(1);
  };
  socket.write(`${ask}Content-Length: 1\r\n\r\n1`);
  await answers(1);
  socket.write(`${ask}Content-Length: 40000\r\n\r\n${'x'.repeat(40_000)}`);
  await answers(2);
  socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
  const [put, refused, health] = await answers(3);
  expect(put).toMatch(/^200/);
  expect(refused).toMatch(/^429/);
  for (const field of ['retry-after: 1', 'x-request-id: mine', 'x-content-type-options: nosniff'])
    expect(refused).toContain(field);
  expect(refused).toContain('"requestId":"mine"');
  expect(health).toMatch(/^200/);
  socket.destroy();
});
