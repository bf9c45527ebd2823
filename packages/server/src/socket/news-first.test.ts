import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { createLocalHost, createMemoryEngine } from 'waymark/engine';
import { openRemoteEngine } from '../../../waymark/src/engines/remote/remote-engine.js';
import { createSocketFace } from './face.js';

/** A server, and which of its clients, by the order they connected in, was written to when. */
async function serve() {
  const engine = createMemoryEngine();
  const face = createSocketFace({ engine, host: createLocalHost(engine) });
  const writes: number[] = [];
  let clients = 0;
  const server = createServer((socket) => {
    const client = clients++;
    const { write } = socket;
    socket.write = (...args: unknown[]) => {
      writes.push(client);
      return Reflect.apply(write, socket, args) as boolean;
    };
    face.serve(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const connect = async () => {
    const client = await openRemoteEngine(`http://127.0.0.1:${port}`);
    onTestFinished(() => client[Symbol.asyncDispose]());
    return client;
  };
  return { writes, connect };
}

test.each([{ watches: 1 }, { watches: 2 }])(
  'who watches is told before the writer is answered: $watches on a connection',
  async ({ watches }) => {
    const { writes, connect } = await serve();
    const [writer, watcher] = [await connect(), await connect()];
    const told = Array.from({ length: watches }, (_, index) =>
      watcher.watch([{ key: 'k', end: `l${index}` }])[Symbol.asyncIterator](),
    );
    for (const batches of told) await batches.next();
    for (let round = 1; round <= 3; round++) {
      writes.length = 0;
      await writer.commit({ apply: [{ type: 'put', key: 'k', value: String(round) }] });
      for (const batches of told) await batches.next();
      expect(writes).toEqual([1, 0]);
    }
  },
);
