import { deliveryOf, eventAt, plainDialer, SharedConnections } from '@waymark/server/testing';
import { connect } from 'amqplib';
import { createSocketReceiver } from 'waymark/receiver';
import { afterEach, expect, test, vi } from 'vitest';
import { endpointKinds } from '../../packages/server/src/endpoints/kinds.js';
import { usualSettings } from '../support/drivers.js';
import { startHttpReceiver } from '../support/http-receiver.js';
import { startMariadb } from '../support/mariadb.js';
import { startProsody } from '../support/prosody.js';
import { startRabbit } from '../support/rabbitmq.js';
import { startRedis } from '../support/redis.js';
import { startWebSocketReceiver } from '../support/websocket.js';
import { xmppPerson } from '../support/xmpp-person.js';
import type { XmppAccount } from '../../packages/server/src/endpoints/xmpp/account.js';
import { takenFrom } from './amqp-place.js';
import { MemorySink } from './websocket-place.js';

/** A server that has taken part in nothing else. */
interface Receiver {
  readonly uri: string;
  readonly account?: XmppAccount;
  /** As text, with the path of what was delivered somewhere in it. */
  heard(): Promise<string>;
}

const password = 'pa55word';
const stops: (() => PromiseLike<unknown>)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

/** What the URI leaves out is where its page says: a queue, a stream, a path. */
const forms: Readonly<Record<string, () => Promise<Receiver>>> = {
  'amqp://user:password@host:port/vhost': async () => {
    const rabbit = await startRabbit();
    stops.push(() => rabbit.stop());
    await rabbit.ctl('add_vhost', 'jobs');
    await rabbit.ctl('add_user', 'user', password);
    await rabbit.ctl('set_permissions', '-p', 'jobs', 'user', '.*', '.*', '.*');
    const uri = `amqp://user:${password}@127.0.0.1:${rabbit.port}/jobs`;
    const model = await connect(uri);
    stops.push(() => model.close());
    const channel = await model.createChannel();
    const heard = async (): Promise<string> =>
      String((await takenFrom(channel, 'waymark')).map(({ content }) => content.toString()));
    return { uri, heard };
  },
  'http://user:password@host:port/': async () => {
    const receiver = await startHttpReceiver();
    stops.push(() => receiver[Symbol.asyncDispose]());
    const heard = async (): Promise<string> => {
      const [request] = receiver.heard;
      expect(request?.headers.authorization).toBe(`Basic ${btoa(`user:${password}`)}`);
      expect(request?.url).toBe('/');
      return String(request?.body);
    };
    return { uri: `http://user:${password}@127.0.0.1:${receiver.port}/`, heard };
  },
  'xmpp://node@domain/?query': async () => {
    const prosody = await startProsody();
    stops.push(() => prosody.stop());
    const { port } = prosody;
    const person = await xmppPerson(port);
    stops.push(() => person[Symbol.asyncDispose]());
    const at = { host: '127.0.0.1', port, tls: 'none' } as const;
    const account = { jid: 'waymark@localhost', password: 'secret', ...at };
    const heard = async (): Promise<string> => String(person.heard);
    return { uri: 'xmpp://alice@localhost/?message', account, heard };
  },
  'redis://password@server:port/db': async () => {
    const redis = await startRedis({ password });
    stops.push(() => redis.stop());
    const heard = async (): Promise<string> =>
      String(await redis.ask(['XRANGE', 'waymark', '-', '+'], 2));
    return { uri: `redis://${password}@127.0.0.1:${redis.port}/2`, heard };
  },
  'mysql://user:password@server:port/db/table': async () => {
    const mariadb = await startMariadb();
    stops.push(() => mariadb.stop());
    const { port, user } = mariadb;
    const who = `${user}:${encodeURIComponent(mariadb.password)}`;
    const heard = async (): Promise<string> =>
      String(await mariadb.root('select path from events.changes'));
    return { uri: `mysql://${who}@127.0.0.1:${port}/events/changes`, heard };
  },
  'ws://host:port/': async () => {
    const sink = new MemorySink();
    const { serve } = createSocketReceiver(sink);
    const receiver = await startWebSocketReceiver((socket) => void serve(socket));
    stops.push(() => receiver[Symbol.asyncDispose]());
    const heard = async (): Promise<string> => JSON.stringify(sink.applied);
    return { uri: `ws://127.0.0.1:${receiver.port}/`, heard };
  },
};

test.each(Object.entries(forms))(
  '[N3] %s is delivered to as it is written',
  async (form, start) => {
    const { uri, account = null, heard } = await start();
    const query = form.includes('?');
    expect(uri.includes('?')).toBe(query);
    const scheme = uri.slice(0, uri.indexOf(':'));
    const kind = endpointKinds(account).find(({ schemes }) => schemes.includes(scheme));
    if (kind === undefined) throw new Error(`nobody delivers to ${scheme}`);
    const tools = {
      dialer: plainDialer(),
      connections: new SharedConnections(),
      wallNow: () => Date.now(),
    };
    await using endpoint = kind.open(kind.parse(uri, usualSettings), usualSettings, tools);
    const event = eventAt(1);
    await endpoint.deliver(deliveryOf([event]), AbortSignal.timeout(20_000));
    await vi.waitFor(async () => expect(await heard()).toContain(event.path), 10_000);
  },
  120_000,
);
