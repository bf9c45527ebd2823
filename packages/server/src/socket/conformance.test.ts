import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, test } from 'vitest';
import { createMemoryEngine, openRemoteEngine } from 'waymark/engine';
import { engineSuite, FakeClock } from 'waymark/testing';
import { createSocketFace } from './face.js';

engineSuite({
  name: 'remote over memory',
  runner: { describe, test },
  open: async () => {
    const clock = new FakeClock();
    const engine = createMemoryEngine({ clock });
    const face = createSocketFace({ engine });
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      face.serve(socket);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const remote = await openRemoteEngine(
      `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    );
    return {
      engine: remote,
      clock,
      close: async () => {
        await remote[Symbol.asyncDispose]();
        for (const socket of sockets) socket.destroy();
        server.close();
        await engine[Symbol.asyncDispose]();
      },
    };
  },
});
