import { startEtcd as startWaymark } from '@waymark/server/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startEtcd } from '../support/etcd.js';
import { orNotRun } from '../support/not-run.js';
import {
  authCalls,
  b64,
  type GatewayCall,
  keyCalls,
  leaseCalls,
  recipeCalls,
  serverCalls,
  txnCalls,
  watchCalls,
  wrongCalls,
} from './gateway-calls.js';
import { type GatewayAnswer, type GatewayClient, overH2c, overHttp1 } from './gateway-client.js';

const calls = [
  ...keyCalls,
  ...txnCalls,
  ...wrongCalls,
  ...leaseCalls,
  ...watchCalls,
  ...recipeCalls,
  ...serverCalls,
  ...authCalls,
];

const named = calls.map((call) => ({ call, name: `${call.path} ${call.body.slice(0, 80)}` }));

/** Ids are a server's own, Go tells of broken JSON in words of its own, and users and roles are commits here. */
function comparable(call: GatewayCall, answer: GatewayAnswer | undefined): GatewayAnswer {
  const { status, type, body } = answer as GatewayAnswer;
  if (call.own === true) return { status, type, body: '' };
  return {
    status,
    type,
    body: body
      .replaceAll(/"(cluster_id|member_id|raft_term|token)":"[^"]+"/g, '"$1":"…"')
      .replaceAll(authCalls.includes(call) ? /"revision":"\d+"/g : /^$/g, '"revision":"…"')
      .replaceAll(/invalid (JSON|character)[^}]*?(?="[,}])/g, 'broken'),
  };
}

function until({ lines }: GatewayCall): ((body: string) => boolean) | undefined {
  return lines === undefined ? undefined : (body) => body.split('\n').length > lines;
}

if (orNotRun('etcd-3.4', 'JSON beside etcd') !== null)
  describe.each([
    ['HTTP/1.1', overHttp1],
    ['HTTP/2', overH2c],
  ] as const)('the gateway over %s', (_name, clientOf) => {
    let [etcd, waymark]: (GatewayClient | undefined)[] = [];
    const stops: (() => Promise<void>)[] = [];

    beforeAll(async () => {
      const [real, ours] = [await startEtcd(), await startWaymark()];
      stops.push(real.stop, ours.close);
      // In the clear etcd itself takes HTTP/2 for gRPC alone.
      etcd = overHttp1(real.address);
      waymark = clientOf(ours.address);
    });

    afterAll(async () => {
      waymark?.[Symbol.dispose]();
      for (const stop of stops) await stop();
    });

    test.each(named)('answers as etcd does: $name', async ({ call }) => {
      const theirs = await etcd?.ask(call, until(call));
      const ours = await waymark?.ask(call, until(call));
      expect(comparable(call, ours)).toEqual(comparable(call, theirs));
    });
  });

describe.each([
  ['HTTP/1.1', overHttp1],
  ['HTTP/2', overH2c],
] as const)('the gateway of Waymark over %s', (_name, clientOf) => {
  const key = b64('/a');
  const post = (path: string, body: object, headers = {}): GatewayCall => ({
    path: `/v3/${path}`,
    body: JSON.stringify(body),
    headers,
  });

  test('a watch tells of a change when it is made, in a line of its own', async () => {
    await using etcd = await startWaymark();
    using client = clientOf(etcd.address);
    let lines = 0;
    let created = (): void => {};
    const isCreated = new Promise<void>((resolve) => (created = resolve));
    const watched = client.ask(post('watch', { create_request: { key } }), (body) => {
      lines = body.split('\n').length - 1;
      if (lines === 1) created();
      return lines === 2;
    });
    await isCreated;
    await client.ask(post('kv/put', { key, value: b64('1') }));
    const { body } = await watched;
    expect(body.split('\n').map((line) => /"(created|events)":/.exec(line)?.[1])).toEqual([
      'created',
      'events',
      undefined,
    ]);
  });

  test('a token goes along as Authorization, and a namespace as metadata', async () => {
    await using etcd = await startWaymark();
    using client = clientOf(etcd.address);
    const elsewhere = { 'Grpc-Metadata-Waymark-Namespace': 'other' };
    await client.ask(post('kv/put', { key, value: b64('1') }, elsewhere));
    const count = async (headers = {}): Promise<string | undefined> =>
      /"count":"(\d+)"/.exec((await client.ask(post('kv/range', { key }, headers))).body)?.[1];
    expect([await count(), await count(elsewhere)]).toEqual([undefined, '1']);
    for (const [path, request] of [
      ['auth/user/add', { name: 'root', password: 'r' }],
      ['auth/role/add', { name: 'root' }],
      ['auth/user/grant', { user: 'root', role: 'root' }],
      ['auth/enable', {}],
    ] as const) {
      expect((await client.ask(post(path, request))).status).toBe(200);
    }
    const { body } = await client.ask(post('auth/authenticate', { name: 'root', password: 'r' }));
    const { token } = JSON.parse(body) as { token: string };
    expect((await client.ask(post('kv/range', { key }))).status).toBe(400);
    const known = { Authorization: token };
    expect((await client.ask(post('kv/range', { key }, known))).status).toBe(200);
  });

  test('a page of another origin is refused, and so is a name that is not of loopback', async () => {
    await using etcd = await startWaymark();
    using client = clientOf(etcd.address);
    const ask = async (headers: Record<string, string>): Promise<number> =>
      (await client.ask(post('kv/range', { key }, headers))).status;
    const host = clientOf === overHttp1 ? 'Host' : ':authority';
    expect(await ask({ Origin: 'http://evil.example' })).toBe(403);
    expect(await ask({ Origin: etcd.url })).toBe(403);
    expect(await ask({ Origin: etcd.url, 'X-Waymark-CSRF': '1' })).toBe(200);
    expect(await ask({ [host]: 'evil.example' })).toBe(403);
    expect(await ask({ [host]: 'localhost:1' })).toBe(200);
  });

  test('what is too long is refused before it is read whole, and what is nested too deep', async () => {
    await using etcd = await startWaymark();
    using client = clientOf(etcd.address);
    const long = post('kv/put', { key, value: b64('v'.repeat(4_000_000)) });
    expect(await client.ask(long)).toMatchObject({ status: 429 });
    for (const levels of [300, 100_000]) {
      const [open, close] = ['{"success":[{"request_txn":', '}]}'];
      const body = `${open.repeat(levels)}{}${close.repeat(levels)}`;
      const answer = await client.ask({ path: '/v3/kv/txn', body });
      expect(answer.status).toBe(400);
      expect(answer.body).toContain('exceeded max depth');
    }
    expect(await client.ask(post('kv/range', { key }))).toMatchObject({ status: 200 });
  });
});
