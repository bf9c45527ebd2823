import type { Connect } from './client.js';
import { connectEcho } from './echo.js';
import { connectEtcd, connectEtcdLockService } from './etcd.js';
import { connectEtcdGrpc } from './etcd-grpc.js';
import { connectEtcdPlain } from './etcd-plain.js';
import { connectNats } from './nats.js';
import { connectPostgres, connectPostgresPool } from './postgres.js';
import {
  connectIoredis,
  connectIoredisPlain,
  connectNodeRedis,
  connectRedisSemaphore,
  connectRedlock,
} from './redis.js';
import { connectWaymark, connectWaymarkEngine, connectWaymarkStash } from './waymark.js';
import { connectZooKeeper } from './zookeeper.js';

export type ClientName = keyof typeof clients;

const clients = {
  waymark: connectWaymark,
  waymarkEngine: connectWaymarkEngine,
  waymarkStash: connectWaymarkStash,
  ioredis: connectIoredis,
  ioredisPlain: connectIoredisPlain,
  nodeRedis: connectNodeRedis,
  redisSemaphore: connectRedisSemaphore,
  redlock: connectRedlock,
  etcd3: connectEtcd,
  etcdGrpc: connectEtcdGrpc,
  etcdPlain: connectEtcdPlain,
  etcdLockService: connectEtcdLockService,
  postgres: connectPostgres,
  postgresPool: connectPostgresPool,
  zooKeeper: connectZooKeeper,
  nats: connectNats,
  echo: connectEcho,
} satisfies Record<string, Connect>;

export function connectClient(name: ClientName): Connect {
  return clients[name];
}
