import { deliveryOf, eventAt, SharedConnections } from '@waymark/server/testing';
import { isWaymarkError } from 'waymark/engine';
import { expect, test } from 'vitest';
import type { Dialer } from '../../packages/server/src/endpoints/kit/dialer.js';
import { endpointKinds } from '../../packages/server/src/endpoints/kinds.js';
import { natsKind } from '../../packages/server/src/endpoints/nats/nats-endpoint.js';
import { ssrfSuite } from '../../packages/server/src/testing/ssrf-suite.js';

/** Path and query that each scheme takes. */
const places: Readonly<Record<string, string>> = {
  http: '/hook',
  https: '/hook',
  ws: '/',
  wss: '/',
  amqp: '/v?queue=q',
  amqps: '/v?queue=q',
  redis: '/0?list=l',
  rediss: '/0?list=l',
  mysql: '/db/table',
  mysqls: '/db/table?sslmode=verify-ca',
  mariadb: '/db/table',
  postgres: '/db/table',
  postgresql: '/db/table',
  nats: '/s',
  'nats+tls': '/s',
};

const kinds = new Set([...endpointKinds(), natsKind]);
const settings = { format: 'structured', secrets: [], timeoutMs: 10_000 } as const;

test('[G26] every scheme is tried', () => {
  const schemes = [...kinds].flatMap((kind) => kind.schemes);
  expect(schemes.filter((scheme) => places[scheme] === undefined)).toEqual([]);
});

for (const kind of kinds) {
  for (const scheme of kind.schemes) {
    ssrfSuite({
      name: scheme,
      reach: async (dialer: Dialer, { host, port }) => {
        const bare = host.includes(':') && !host.startsWith('[');
        const authority = `u:pw@${bare ? `[${host}]` : host}:${port}`;
        const target = parsed(`${scheme}://${authority}${places[scheme] ?? ''}`);
        const connections = new SharedConnections();
        const tools = { dialer, connections, wallNow: () => Date.now() };
        await using endpoint = kind.open(target, settings, tools);
        await endpoint.deliver(deliveryOf([eventAt(1)]), AbortSignal.timeout(10_000));
      },
    });

    function parsed(uri: string) {
      try {
        return kind.parse(uri, settings);
      } catch (error) {
        if (isWaymarkError(error, 'invalid')) throw new Error('names no host', { cause: error });
        throw error;
      }
    }
  }
}
