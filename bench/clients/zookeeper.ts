import type { Client } from './client.js';
import { zooKeeper } from './untyped.js';

/** The lock recipe of ZooKeeper's own page: a sequential ephemeral node, and a watch on the one before. */
export async function connectZooKeeper(address: string): Promise<Client> {
  const client = zooKeeper.createClient(address, { sessionTimeout: 30_000 });
  await new Promise<void>((resolve) => {
    client.once('connected', resolve);
    client.connect();
  });
  const made = new Set<string>();
  const create = (path: string, mode: number): Promise<string> =>
    new Promise((resolve, reject) => {
      client.create(path, Buffer.alloc(0), mode, (error, created) =>
        error ? reject(error) : resolve(created),
      );
    });
  const children = (path: string): Promise<string[]> =>
    new Promise((resolve, reject) => {
      client.getChildren(path, (error, names) => (error ? reject(error) : resolve(names.sort())));
    });
  /** Resolves when the node is gone. */
  const gone = (path: string): Promise<void> =>
    new Promise((resolve, reject) => {
      client.exists(
        path,
        () => resolve(),
        (error, stat) => {
          if (error) reject(error);
          else if (stat === null) resolve();
        },
      );
    });
  return {
    lock: async (name) => {
      const directory = name.replaceAll('/', '-').replace('-', '/');
      if (!made.has(directory)) {
        await create(directory, zooKeeper.CreateMode.PERSISTENT).catch(() => '');
        made.add(directory);
      }
      const path = await create(`${directory}/n-`, zooKeeper.CreateMode.EPHEMERAL_SEQUENTIAL);
      const own = path.slice(directory.length + 1);
      for (;;) {
        const queue = await children(directory);
        const place = queue.indexOf(own);
        if (place === 0) break;
        await gone(`${directory}/${queue[place - 1] as string}`);
      }
      return () =>
        new Promise<void>((resolve, reject) => {
          client.remove(path, -1, (error) => (error ? reject(error) : resolve()));
        });
    },
    close: async () => client.close(),
  };
}
