import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { deliveryOf, eventAt, plainDialer, SharedConnections } from '@waymark/server/testing';
import type * as Xmpp from '../../packages/server/src/endpoints/xmpp/xmpp.js';

/** Delivers once to alice over STARTTLS, as the account waymark. @param argv  the port of the server */
const server = dirname(createRequire(import.meta.url).resolve('@waymark/server/package.json'));
const built = pathToFileURL(join(server, 'dist/endpoints/xmpp/xmpp.js')).href;
const { createXmppKind } = (await import(built)) as typeof Xmpp;
const port = Number(process.argv[2]);
const account = { jid: 'waymark@localhost', password: 'secret', host: '127.0.0.1', port };
const kind = createXmppKind({ account });
const settings = { format: 'structured', secrets: [], timeoutMs: 10_000 } as const;
const tools = {
  dialer: plainDialer(),
  connections: new SharedConnections(),
  wallNow: () => Date.now(),
};
await using endpoint = kind.open(kind.parse('xmpp://alice@localhost/', settings), settings, tools);
await endpoint.deliver(deliveryOf([eventAt(1)]), AbortSignal.timeout(20_000));
