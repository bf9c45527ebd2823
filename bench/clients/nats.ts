import { connect } from '@nats-io/transport-node';
import { type Client, scatteredTo } from './client.js';

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
    respond: async (subject, responders) => {
      for (let responder = 0; responder < responders; responder++) {
        connection.subscribe(subject, {
          callback: (_error, message) => void message.respond(message.data),
        });
      }
      await connection.flush();
    },
    asker: async (subject, whom) => {
      if (whom !== 'all') return (body) => connection.request(subject, body, { timeout: 10_000 });
      const all = { strategy: 'count', maxMessages: scatteredTo, maxWait: 10_000 } as const;
      return async (body) => {
        let answers = 0;
        for await (const _answer of await connection.requestMany(subject, body, all)) answers++;
        if (answers !== scatteredTo) throw new Error(`${answers} answers`);
      };
    },
    close: () => connection.close(),
  };
}
