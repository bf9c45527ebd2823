import { amqpKind } from './amqp/amqp-endpoint.js';
import type { EndpointKind } from './endpoint.js';
import { httpKind } from './http/http-endpoint.js';
import { mysqlEndpoint } from './mysql/mysql-endpoint.js';
import { natsKind } from './nats/nats-endpoint.js';
import { postgresEndpoint } from './postgres/postgres-endpoint.js';
import { redisKind } from './redis/redis-endpoint.js';
import { createWebSocketKind } from './websocket/websocket.js';
import type { XmppAccount } from './xmpp/account.js';
import { createXmppKind } from './xmpp/xmpp.js';

/** The kinds of endpoints that a process delivers to. @param xmpp  who messages of XMPP are from; null: they are not delivered here */
export function endpointKinds(xmpp: XmppAccount | null = null): readonly EndpointKind[] {
  const kinds = [
    httpKind,
    amqpKind,
    redisKind,
    mysqlEndpoint,
    createWebSocketKind(),
    natsKind,
    postgresEndpoint,
  ];
  return xmpp === null ? kinds : [...kinds, createXmppKind({ account: xmpp })];
}

/** Those that can be registered, or say why they cannot here. */
export function knownKinds(delivered: readonly EndpointKind[]): readonly EndpointKind[] {
  if (delivered.some(({ name }) => name === 'xmpp')) return delivered;
  return [...delivered, createXmppKind({ account: null })];
}
