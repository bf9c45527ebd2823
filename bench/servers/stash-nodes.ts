import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { open } from 'waymark';
import { freePort, type Running, start, temporaryDirectory } from '../harness/processes.js';
import { startWaymark, waymarkCommand } from './index.js';

const settledMs = 2_000;
const waitMsMax = 60_000;

/** A server with a node of its own, and so many more nodes in processes of their own: its clients write and read all of them through it. */
export async function startStash(more: number): Promise<Running> {
  const server = await startWaymark({ engine: 'file' });
  const space = await open(server.address);
  // A server's own node begins with the first call of the stash.
  await space.stash.status();
  const nodes: Running[] = [];
  for (let i = 0; i < more; i++) nodes.push(await startNode(server.address));
  const until = performance.now() + waitMsMax;
  for (let since = performance.now(), epoch = 0; performance.now() - since < settledMs;) {
    const status = await space.stash.status();
    const active = status.nodes.filter(({ state }) => state === 'active').length;
    if (active <= more || status.epoch !== epoch) since = performance.now();
    ({ epoch } = status);
    if (performance.now() > until) throw new Error(`only ${active} nodes of the stash are there`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await space.close();
  return {
    ...server,
    stop: async () => {
      await Promise.all(nodes.map((node) => node.stop()));
      await server.stop();
    },
  };
}

async function startNode(space: string): Promise<Running> {
  const directory = await temporaryDirectory('stash');
  const data = join(directory, 'data');
  await mkdir(data);
  const address = `127.0.0.1:${await freePort()}`;
  const flags = ['--data', data, '--space', space, '--listen', address, '--log-level', 'error'];
  const [command, ...args] = waymarkCommand(['stash', ...flags]);
  return start({ name: 'a node of the stash', command, args, address, directory });
}
