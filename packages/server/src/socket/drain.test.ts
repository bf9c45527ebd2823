import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import {
  type CommitOptions,
  createLocalHost,
  createMemoryEngine,
  ForwardingEngine,
  type Outcome,
  type Txn,
} from 'waymark/engine';
import { connectHost } from '../../../waymark/src/space/remote-host.js';
import { createSocketFace } from './face.js';

/** Its first commit stands still until it is let go. */
class SlowFirst extends ForwardingEngine {
  letGo: () => void = () => {};
  #first: Promise<void> | null = new Promise((resolve) => (this.letGo = resolve));

  override async commit(txn: Txn, options?: CommitOptions): Promise<Outcome> {
    const first = this.#first;
    this.#first = null;
    await first;
    return await this.engine.commit(txn, options);
  }
}

test('[stop] a lock that is asked for while the client is told to go elsewhere is asked for again there, not refused', async () => {
  const engine = new SlowFirst(createMemoryEngine());
  const calls: string[] = [];
  const called = ({ name }: { readonly name: string }): void => void calls.push(name);
  const face = createSocketFace({ host: createLocalHost(engine), called });
  const server = createServer((socket) => void face.serve(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const host = await connectHost(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const heard = async (name: string): Promise<void> => {
    while (!calls.includes(name)) await new Promise((resolve) => setImmediate(resolve));
  };
  const { id: lease } = await host.grant(60_000);
  // The client stays until it has its answer.
  const busy = host.commit('n', { apply: [{ type: 'put', key: 'd/a', value: '1' }] });
  await heard('commit');
  const hold = { id: 'r', path: '/l', tree: false, mode: 'exclusive' as const };
  // Both are on the wire before either side has heard of the other's.
  const drained = face.drain();
  const locked = host.acquire('n', { ...hold, lease, owner: 'o', session: 's' });
  const told = locked.then(() => 'granted', String);
  await heard('acquire');
  engine.letGo();
  await busy;
  expect(await told).toBe('granted');
  await drained;
  await host[Symbol.asyncDispose]();
  server.close();
});
