import { connect as connectNats } from '@nats-io/transport-node';
import { connect as connectRabbit } from 'amqplib';
import pg from 'pg';
import { amqpPlace } from '../endpoints/amqp-place.js';
import { mysqlServer } from '../endpoints/mysql-server.js';
import { addStream, natsPlace } from '../endpoints/nats-place.js';
import { addSender, postgresServer } from '../endpoints/postgres-server.js';
import { redisPassword, redisPlace } from '../endpoints/redis-place.js';
import { sqlPlace } from '../endpoints/sql-place.js';
import { websocketPlace } from '../endpoints/websocket-place.js';
import { xmppPlace } from '../endpoints/xmpp-place.js';
import { SeededRandom } from '../faults/random.js';
import { startMariadb } from '../support/mariadb.js';
import { startNats } from '../support/nats.js';
import { startPostgres } from '../support/postgres.js';
import { startProsody } from '../support/prosody.js';
import { startRabbit } from '../support/rabbitmq.js';
import { startRedis } from '../support/redis.js';
import { moodyHttp } from './moody-http.js';
import { gatedPlace, type Place, type Started } from './places.js';
import { redisKeys } from './redis-keys.js';

/**
 * What each promises (docs/endpoints). The effect once, by a fence of its own: Redis stream, list and keys, MySQL, PostgreSQL, WebSocket. All, in order, the tail perhaps again: HTTP, AMQP, JetStream,
 * XMPP with receipts. Order alone, as who is not there misses what is told: channels of Redis and subjects of NATS.
 */
const starts: Readonly<Record<string, () => Promise<Started>>> = {
  amqp,
  'nats stream': () => nats('stream'),
  'nats subject': () => nats('subject'),
  'redis stream': () => redis('stream'),
  'redis list': () => redis('list'),
  'redis keys': redisKeys,
  'redis channel': () => redis('channel'),
  mysql,
  postgres,
  websocket: async () => ({ under: await websocketPlace(), stop: async () => undefined }),
  xmpp,
};

/** HTTP, and one place of each other kind of endpoint, each with a real server of its own. @param names  of these alone; default all */
export async function startPlaces(
  random: SeededRandom,
  names: readonly string[] = Object.keys(starts),
): Promise<readonly Place[]> {
  const seeds = names.map(() => random.below(2 ** 31));
  const http = await moodyHttp(new SeededRandom(random.below(2 ** 31)));
  const chosen = Object.entries(starts).filter(([name]) => names.includes(name));
  const others = await Promise.all(
    chosen.map(async ([name, start], at) =>
      gatedPlace(name, new SeededRandom(seeds[at] ?? 0), await start()),
    ),
  );
  return [http, ...others];
}

async function amqp(): Promise<Started> {
  const rabbit = await startRabbit();
  const model = await connectRabbit(rabbit.url);
  model.on('error', () => undefined);
  const under = await amqpPlace(rabbit, await model.createChannel(), 'rig');
  return { under, stop: () => rabbit.stop() };
}

async function nats(type: 'stream' | 'subject'): Promise<Started> {
  const users = 'authorization { users: [ { user: waymark, password: "CANARY-p4ss" } ] }\n';
  const server = await startNats(users);
  const servers = `127.0.0.1:${server.port}`;
  const eye = await connectNats({ servers, user: 'waymark', pass: 'CANARY-p4ss' });
  const stream = type === 'stream' ? 'RIG' : null;
  if (stream !== null) await addStream(eye, { name: stream, subject: 'rig' });
  const under = await natsPlace(server, eye, { subject: 'rig', stream });
  const stop = async (): Promise<void> => {
    await eye.close();
    await server.stop();
  };
  return { under, stop, lossy: stream === null };
}

async function redis(type: 'stream' | 'list' | 'channel'): Promise<Started> {
  const server = await startRedis({ password: redisPassword });
  const under = await redisPlace(server, type);
  return { under, stop: () => server.stop(), lossy: type === 'channel' };
}

async function xmpp(): Promise<Started> {
  const prosody = await startProsody();
  const under = await xmppPlace(prosody, 'chat');
  // A message is the answer to a receipt, through two more processes: a slow machine takes long for each.
  return { under, stop: () => prosody.stop(), account: under.account, each: 10 };
}

async function mysql(): Promise<Started> {
  const mariadb = await startMariadb();
  await mariadb.root('use events');
  const under = await sqlPlace(
    mysqlServer(() => mariadb),
    'structured',
  );
  return { under, stop: () => mariadb.stop() };
}

async function postgres(): Promise<Started> {
  const running = await startPostgres();
  const root = new pg.Client({ connectionString: running.url });
  await root.connect();
  await addSender(root);
  const server = postgresServer(() => ({ root, postgres: running }));
  const under = await sqlPlace(server, 'structured');
  const stop = async (): Promise<void> => {
    await root.end();
    await running.stop();
  };
  return { under, stop };
}
