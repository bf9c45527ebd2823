import { createRequire } from 'node:module';
import type { Redis } from 'ioredis';

/** Peers whose packages carry no types that TypeScript can reach: the few methods used here. */
const require = createRequire(import.meta.url);

interface RedlockLike {
  acquire(resources: string[], ttlMs: number): Promise<{ release(): Promise<unknown> }>;
  on(event: 'error', listener: () => void): void;
}

export const Redlock = (require('redlock') as { default: unknown }).default as new (
  clients: Redis[],
  settings: { retryCount: number; retryDelay: number; retryJitter: number },
) => RedlockLike;

export interface ZooKeeperClient {
  connect(): void;
  once(event: 'connected', listener: () => void): void;
  create(
    path: string,
    data: Buffer,
    mode: number,
    done: (error: Error | null, path: string) => void,
  ): void;
  remove(path: string, version: number, done: (error: Error | null) => void): void;
  getChildren(path: string, done: (error: Error | null, children: string[]) => void): void;
  exists(
    path: string,
    watcher: () => void,
    done: (error: Error | null, stat: object | null) => void,
  ): void;
  close(): void;
}

export const zooKeeper = require('node-zookeeper-client') as {
  createClient(address: string, options: { sessionTimeout: number }): ZooKeeperClient;
  CreateMode: { PERSISTENT: number; EPHEMERAL_SEQUENTIAL: number };
};
