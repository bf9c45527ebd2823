import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startServer } from '@waymark/server';
import { expect, test } from 'vitest';
import { open, type Space } from 'waymark';
import {
  createLocalHost,
  createMemoryEngine,
  createSpace,
  type Engine,
  ForwardingEngine,
  systemClock,
  systemRandom,
} from 'waymark/engine';
import { announce, createView, servedNode } from 'waymark/stash';
import { ServedPort, tableOf } from 'waymark/wire';
import { stashSuite } from './support/index-suite.js';
import { MemoryNode } from './support/memory-node.js';

/** The index as it is over wires: of a server to its clients, and of whoever coordinates to the nodes. */

const shared = { clock: systemClock, random: systemRandom };

stashSuite({
  test,
  name: 'a server with a node of its own',
  async open() {
    const folder = await mkdtemp(join(tmpdir(), 'waymark-'));
    const engine = `file:${join(folder, 'state')}`;
    const server = await startServer({ listen: ['127.0.0.1:0'], engine, logLevel: 'silent' });
    const space = await open(`http://${server.addresses[0]}`);
    const close = async (): Promise<void> => {
      await space.close();
      await server.close();
      await rm(folder, { recursive: true });
    };
    return { space, close };
  },
});

stashSuite({
  test,
  name: 'three nodes over TCP',
  async open() {
    const { space, close } = await overTcp(3);
    return { space, close };
  },
});

test('[D4.6] a node that restarts elsewhere is found by the address it tells', async () => {
  const { space, close, engine, ports } = await overTcp(1);
  try {
    const index = space.stash.index('i');
    await index.put('k', 1);
    await ports[0]?.close();
    const node = new MemoryNode(systemClock);
    const port = await serve(node);
    await expect(index.get('k', { deadlineMs: 2_000 })).rejects.toMatchObject({
      code: 'unavailable',
    });
    await announceOn(engine, 0, port);
    ports.push(port);
    await expect
      .poll(async () => await index.put('k', 2).catch(() => null), { timeout: 10_000 })
      .toEqual({ replicas: 1, flushed: 1 });
  } finally {
    await close();
  }
});

interface OverTcp {
  readonly space: Space;
  readonly engine: Engine;
  readonly ports: ServedPort[];
  close(): Promise<void>;
}

async function overTcp(count: number): Promise<OverTcp> {
  const engine = createMemoryEngine();
  const nodes = Array.from({ length: count }, () => new MemoryNode(systemClock));
  const ports = await Promise.all(nodes.map(serve));
  for (const [i, port] of ports.entries()) await announceOn(engine, i, port);
  const placed = nodes.map((_, i) => ({ id: `node-${i}`, zone: 'z', weight: 1 }));
  await createView(engine, { epoch: 1, replicas: 3, nodes: placed });
  const host = createLocalHost(new ForwardingEngine(engine), { ...shared, stash: { token: 't' } });
  const space = createSpace(host, { ...shared, owner: 'test' });
  const close = async (): Promise<void> => {
    await space.close();
    for (const port of ports) await port.close();
    await engine[Symbol.asyncDispose]();
  };
  return { space, engine, ports, close };
}

async function serve(node: MemoryNode): Promise<ServedPort> {
  return await ServedPort.open({
    ...{ host: '127.0.0.1', port: 0, clock: systemClock, name: 'storage node', token: 't' },
    ...{ table: tableOf(servedNode(node)), connectionsMax: 100 },
  });
}

async function announceOn(engine: Engine, i: number, { port }: ServedPort): Promise<void> {
  const node = { id: `node-${i}`, zone: 'z', weight: 1, address: `127.0.0.1:${port}` };
  await announce(engine, node, (await engine.grant(60_000)).id);
}
