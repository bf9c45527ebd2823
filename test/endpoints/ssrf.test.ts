import { deliveryOf, eventAt, SharedConnections } from '@waymark/server/testing';
import { isWaymarkError } from 'waymark/engine';
import { expect, test } from 'vitest';
import type { Dialer } from '../../packages/server/src/endpoints/kit/dialer.js';
import type { EndpointKind } from '../../packages/server/src/endpoints/endpoint.js';
import { endpointKinds, knownKinds } from '../../packages/server/src/endpoints/kinds.js';
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
  postgres: '/db/table',
  postgresql: '/db/table',
  nats: '/s',
  'nats+tls': '/s',
  xmpp: '/',
};

interface To {
  readonly host: string;
  readonly port: number;
}

/** Whoever sends over XMPP connects to the server of its own account: that is the one to be tried then. */
function kindsTo({ host, port }: To): readonly EndpointKind[] {
  const account = { jid: 'u@example.org', password: 'pw', host, port, tls: 'none' } as const;
  return endpointKinds(account);
}

const known = knownKinds(endpointKinds());
const settings = { format: 'structured', secrets: [], timeoutMs: 10_000 } as const;

test('[G26] every scheme is tried', () => {
  const schemes = known.flatMap((kind) => kind.schemes);
  expect(schemes.toSorted()).toEqual(Object.keys(places).toSorted());
});

for (const { name, schemes } of known) {
  for (const scheme of schemes) {
    ssrfSuite({
      name: scheme,
      reach: async (dialer: Dialer, to) => {
        const kind = kindsTo(to).find((one) => one.name === name);
        if (kind === undefined) throw new Error(`nobody delivers to ${name}`);
        const target = parsed(kind, `${scheme}://${authorityOf(scheme, to)}${places[scheme]}`);
        const connections = new SharedConnections();
        const tools = { dialer, connections, wallNow: () => Date.now() };
        await using endpoint = kind.open(target, settings, tools);
        await endpoint.deliver(deliveryOf([eventAt(1)]), AbortSignal.timeout(10_000));
      },
    });
  }
}

function authorityOf(scheme: string, { host, port }: To): string {
  if (scheme === 'xmpp') return 'node@example.org';
  const bare = host.includes(':') && !host.startsWith('[');
  return `u:pw@${bare ? `[${host}]` : host}:${port}`;
}

function parsed(kind: EndpointKind, uri: string) {
  try {
    return kind.parse(uri, settings);
  } catch (error) {
    if (isWaymarkError(error, 'invalid')) throw new Error('names no host', { cause: error });
    throw error;
  }
}
