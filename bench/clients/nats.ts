import { connect } from '@nats-io/transport-node';
import type { Client } from './client.js';

export async function connectNats(address: string): Promise<Client> {
  const connection = await connect({ servers: address });
  return {
    publish: async (topic, value) => {
      connection.publish(topic, value);
      await connection.flush();
    },
    subscribe: async (topic, watchers, told) => {
      for (let watcher = 0; watcher < watchers; watcher++) {
        connection.subscribe(topic, {
          callback: (_error, message) => told(watcher, message.string(), 0),
        });
      }
      await connection.flush();
    },
    close: () => connection.close(),
  };
}
