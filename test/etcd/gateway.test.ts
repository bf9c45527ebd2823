import { startEtcd as startWaymark } from '@waymark/server/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startEtcd } from '../support/etcd.js';
import { orNotRun } from '../support/not-run.js';
import { keyCalls, txnCalls, wrongCalls } from './gateway-calls.js';
import { type GatewayAnswer, type GatewayClient, overH2c, overHttp1 } from './gateway-client.js';

const calls = [...keyCalls, ...txnCalls, ...wrongCalls];

const named = calls.map((call) => ({ call, name: `${call.path} ${call.body.slice(0, 80)}` }));

/** Ids are a server's own, and Go tells of broken JSON in words of its own. */
function comparable({ status, type, body }: GatewayAnswer): GatewayAnswer {
  return {
    status,
    type,
    body: body
      .replaceAll(/"(cluster_id|member_id|raft_term)":"\d+"/g, '"$1":"…"')
      .replaceAll(/invalid (JSON|character)[^}]*?(?="[,}])/g, 'broken'),
  };
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
      const [theirs, ours] = [await etcd?.ask(call), await waymark?.ask(call)];
      expect(comparable(ours as GatewayAnswer)).toEqual(comparable(theirs as GatewayAnswer));
    });
  });
