import { connect } from 'node:net';
import { socketTarget } from '../harness/processes.js';
import type { Client } from './client.js';

/** Raw TCP: what a round trip costs on this machine before anyone adds meaning. */
export async function connectEcho(address: string): Promise<Client> {
  const socket = connect(socketTarget(address));
  socket.setNoDelay(true);
  await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
  const payload = Buffer.alloc(64, 1);
  const waiting: (() => void)[] = [];
  let received = 0;
  socket.on('data', (chunk: Buffer) => {
    for (received += chunk.length; received >= payload.length; received -= payload.length)
      waiting.shift()?.();
  });
  const put = (): Promise<void> =>
    new Promise<void>((resolve) => {
      waiting.push(resolve);
      socket.write(payload);
    });
  return {
    put,
    respond: async () => undefined,
    asker: async () => put,
    close: async () => socket.destroy(),
  };
}
