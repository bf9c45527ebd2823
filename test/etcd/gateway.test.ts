import { startEtcd as startWaymark } from '@waymark/server/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startEtcd } from '../support/etcd.js';
import { orNotRun } from '../support/not-run.js';
import {
  authCalls,
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
