import { once } from 'node:events';
import { connect as http2, constants } from 'node:http2';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { isWaymarkError, open } from 'waymark';
import {
  type CommitOptions,
  createMemoryEngine,
  ForwardingEngine,
  type Outcome,
  type Txn,
} from 'waymark/engine';
import { KV } from 'waymark/etcd';
import { EtcdApi } from '../etcd/client.js';
import { type Answer, raw, type Served, serve } from './served.js';

/** Commits stand still while it is closed. */
class Gate extends ForwardingEngine {
  held = 0;
  #open: (() => void) | null = null;
  #opened = Promise.resolve();

  close(): void {
    this.#opened = new Promise((resolve) => (this.#open = resolve));
  }

  open(): void {
    this.#open?.();
    this.#open = null;
  }

  override async commit(txn: Txn, options?: CommitOptions): Promise<Outcome> {
    if (this.#open !== null && txn.apply !== undefined) {
      this.held++;
      await this.#opened;
      this.held--;
    }
    return await this.engine.commit(txn, options);
  }
}

interface Rig extends AsyncDisposable {
  readonly gate: Gate;
  readonly served: Served;
  put(key: string, body?: string): Promise<Answer>;
  /** Resolves once so many commits stand still. */
  standing(count: number): Promise<void>;
}

async function rig(options: object): Promise<Rig> {
  const gate = new Gate(createMemoryEngine());
  const served = await serve({ engine: gate, ...options });
  return {
    gate,
    served,
    put: (key, body = '1') => served.call('PUT', `/v1/ns/etcd/keys/${key}`, { body }),
    standing: async (count) => {
      while (gate.held < count) await new Promise((resolve) => setImmediate(resolve));
    },
    async [Symbol.asyncDispose]() {
      gate.open();
      await served[Symbol.asyncDispose]();
      await gate[Symbol.asyncDispose]();
    },
  };
}

const refusal = { status: 503, code: 'overloaded', limit: 'inFlightMax', retryAfterMs: 1_000 };

test('[limits] calls under way: the last one begins, one more waits for its turn, and is refused over every face', async () => {
  await using here = await rig({ inFlightMax: 2, inFlightWaitMs: 100 });
  const { gate, served, put, standing } = here;
  await using space = await open(served.base);
  using etcd = new EtcdApi(served.address);
  const ns = space.namespace('etcd');
  const utf8 = (text: string): Uint8Array => Buffer.from(text);
  // Every face stands, and has written what it begins with.
  await ns.put('/binary', 0);
  await etcd.call(KV.method.put, { key: utf8('grpc'), value: utf8('0') });
  const lease = await served.call('POST', '/v1/leases', { body: { ttlMs: 60_000 } });
  gate.close();
  const under = [put('a'), ns.put('/b', 1)];
  await standing(2);
  const refused = await put('c');
  expect(refused.status).toBe(503);
  expect(refused.json).toMatchObject(refusal);
  expect(refused.headers.get('retry-after')).toBe('1');
  await expect(ns.put('/c', 1)).rejects.toMatchObject({ code: 'overloaded', facts: { max: 2 } });
  await expect(
    etcd.call(KV.method.put, { key: utf8('c'), value: utf8('1') }),
  ).rejects.toMatchObject({ code: 8, details: 'etcdserver: too many requests' });
  // What keeps alive, or tells how it is, has no turn to wait for.
  const renew = `/v1/leases/${String(lease.json['id'])}/renew`;
  expect((await served.call('POST', renew, {})).status).toBe(200);
  expect((await served.call('GET', '/healthz')).status).toBe(200);
  const { text } = await served.call('GET', '/metrics');
  expect(text).toMatch(/^waymark_calls_in_flight 2$/m);
  expect(text).toMatch(/^waymark_calls_shed_total 3$/m);
  gate.open();
  expect(((await under[0]) as Answer).status).toBe(200);
  await under[1];
  expect((await put('c')).status).toBe(200);
  await ns.put('/c', 2);
});

test('[limits] a call that waits has its turn when there is room, the oldest first, and four times as many may wait as may be under way', async () => {
  await using here = await rig({ inFlightMax: 2, inFlightWaitMs: 60_000 });
  const { gate, served, put, standing } = here;
  gate.close();
  const first = [put('x', '1'), put('y', '1')];
  await standing(2);
  const waiting = [put('y', '2')];
  const waits = async (count: number): Promise<void> => {
    const shown = new RegExp(`^waymark_calls_waiting ${count}$`, 'm');
    while (!shown.test((await served.call('GET', '/metrics')).text));
  };
  await waits(1);
  waiting.push(put('y', '3'));
  await waits(2);
  expect(gate.held).toBe(2);
  const others = Array.from({ length: 6 }, (_, n) => put(`z${n}`));
  await waits(8);
  expect((await put('one-more')).json).toMatchObject(refusal);
  gate.open();
  await Promise.all([...first, ...others]);
  const revisions = (await Promise.all(waiting)).map(({ json }) => json['revision']);
  expect(revisions).toEqual([3, 4]);
});

test('[limits] bytes under way: a body that fits beside the others begins, one byte more waits', async () => {
  await using here = await rig({ inFlightBytesMax: 1_000, inFlightWaitMs: 100 });
  const { gate, put, standing } = here;
  gate.close();
  const first = put('a', 'x'.repeat(600));
  await standing(1);
  expect((await put('b', 'x'.repeat(401))).status).toBe(503);
  const fits = put('b', 'x'.repeat(400));
  await standing(2);
  gate.open();
  expect([(await first).status, (await fits).status]).toEqual([200, 200]);
  // One that is more than all may be begins when nothing else is under way.
  expect((await put('c', 'x'.repeat(2_000))).status).toBe(200);
});

test('[limits] what waits for others is no work: locks and watches leave room', async () => {
  await using here = await rig({ inFlightMax: 1, inFlightWaitMs: 100 });
  const { served, put } = here;
  await using space = await open(served.base);
  const ns = space.namespace('etcd');
  await using held = await ns.lock('/l');
  await using other = await open(served.base);
  const waiting = other.namespace('etcd').lock('/l');
  const asked = { ttlMs: 60_000, waitMs: 60_000 };
  const overRest = served.call('POST', '/v1/ns/etcd/locks/l', { body: asked });
  const polling = served.call('GET', '/v1/ns/etcd/keys/polled?wait=60s');
  while ((await ns.explain('/l')).waiters.length < 2);
  expect((await put('a')).status).toBe(200);
  await held.release();
  // Whichever was first in line has it, and then the other.
  const free = async (): Promise<void> => {
    const { json } = await overRest;
    await served.call('DELETE', `/v1/ns/etcd/locks/l?id=${String(json['id'])}`);
  };
  await Promise.all([waiting.then(async (lock) => await lock.release()), free()]);
  expect((await put('polled')).status).toBe(200);
  expect((await polling).status).toBe(200);
});

test('[limits] who is gone before its turn leaves no trace', async () => {
  await using here = await rig({ inFlightMax: 2, inFlightWaitMs: 60_000 });
  const { gate, served, put, standing } = here;
  gate.close();
  const first = [put('a'), put('b')];
  await standing(2);
  const left = connect(served.port, '127.0.0.1');
  left.write('PUT /v1/ns/etcd/keys/left HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1');
  const space = await open(served.base);
  const alsoLeft = space.namespace('etcd').put('/left', 2);
  while (!/^waymark_calls_waiting 2$/m.test((await served.call('GET', '/metrics')).text));
  // Each time on a connection of its own: clients that keep some may open and close others.
  const ask = 'GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
  const connections = async (): Promise<number> =>
    Number(/^waymark_connections (\d+)$/m.exec(await raw(served.port, ask))?.[1]);
  const before = await connections();
  left.destroy();
  await space.close();
  await expect(alsoLeft).rejects.toSatisfy((error) => isWaymarkError(error));
  while ((await connections()) > before - 2);
  gate.open();
  expect((await Promise.all(first)).map(({ status }) => status)).toEqual([200, 200]);
  expect((await put('c')).status).toBe(200);
  expect((await served.call('GET', '/v1/ns/etcd/keys/left')).status).toBe(404);
});

const inFlight = async (served: Served): Promise<number> =>
  Number(/^waymark_calls_in_flight (\d+)$/m.exec((await served.call('GET', '/metrics')).text)?.[1]);

test('[limits] requests that came in one packet are over when their client has gone', async () => {
  await using here = await rig({ inFlightMax: 40, inFlightWaitMs: 100 });
  const { gate, served, put, standing } = here;
  gate.close();
  const one = 'PUT /v1/ns/etcd/keys/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1';
  const together = connect(served.port, '127.0.0.1');
  together.write(one.repeat(30));
  await standing(1);
  expect(await inFlight(served)).toBe(1);
  together.destroy();
  while ((await inFlight(served)) > 0);
  gate.open();
  expect((await put('after')).status).toBe(200);
});

test('[limits] requests over HTTP/2 are over when their client takes them back', async () => {
  await using here = await rig({ inFlightMax: 40, inFlightWaitMs: 100 });
  const { gate, served, put, standing } = here;
  const session = http2(served.base);
  await once(session, 'remoteSettings');
  gate.close();
  const streams = Array.from({ length: 6 }, (_, at) =>
    session.request({ ':method': 'PUT', ':path': `/v1/ns/etcd/keys/${at}` }).on('error', () => {}),
  );
  // The last is half of an upload, and no work before the other half is there.
  for (const [at, stream] of streams.entries()) {
    if (at < 5) stream.end('1');
    else stream.write('1');
  }
  while ((await inFlight(served)) < 5);
  await standing(5);
  for (const stream of streams) stream.close(constants.NGHTTP2_CANCEL);
  while ((await inFlight(served)) > 0);
  gate.open();
  session.destroy();
  expect((await put('after')).status).toBe(200);
});
