import { createServer } from 'node:net';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { systemClock, systemRandom } from '../core/system-clock.js';
import type { Host } from '../core/host.js';
import { deliver } from '../recipes/messages.js';
import { refused } from '../recipes/outgoing.js';
import { FakeClock } from '../testing/fake-clock.js';
import { recipeMethod } from '../wire/recipe-methods.js';
import { ServedConnections } from '../wire/serve/served-connections.js';
import { serve, tableOf } from '../wire/serve/served-calls.js';
import { reachListener } from './listener-peers.js';
import { HostPeers } from './peers.js';

const letter = {
  group: '/g',
  member: 'm',
  from: 'test',
  guest: false,
  kind: 'send',
  term: undefined,
  body: '',
  deadlineMs: 1_000,
  relayed: true,
} as const;

/** Peers that are reached at once, and what became of the connections to them. */
function counted(clock: FakeClock) {
  const told = { made: 0, ended: 0, close: (): void => {} };
  const peers = new HostPeers(clock, undefined, async (_address, { closed }) => {
    told.made++;
    told.close = closed;
    const end = async (): Promise<void> => void told.ended++;
    const run = async () => refused('nobody');
    return { run, [Symbol.asyncDispose]: end } as unknown as Host;
  });
  const call = () => peers.run('a', deliver, 'n', letter, { withinMs: 1_000 });
  return { told, peers, call };
}

const settled = (): Promise<void> => new Promise((resolve) => systemClock.nextTurn(resolve));

test('[X23] one connection an address; after 60 s without a call it is closed, and the next call makes another', async () => {
  const clock = new FakeClock();
  const { told, peers, call } = counted(clock);
  await Promise.all([call(), call(), call()]);
  clock.advance(59_000);
  await call();
  clock.advance(59_000);
  await settled();
  expect(told).toMatchObject({ made: 1, ended: 0 });
  clock.advance(40_000);
  await settled();
  expect(told).toMatchObject({ made: 1, ended: 1 });
  await call();
  expect(told).toMatchObject({ made: 2, ended: 1 });
  await peers.close();
  expect(told).toMatchObject({ made: 2, ended: 2 });
  expect(clock.timers).toBe(0);
});

test('[X23] a connection that has ended is not used again', async () => {
  const { told, peers, call } = counted(new FakeClock());
  await call();
  told.close();
  await call();
  expect(told.made).toBe(2);
  await peers.close();
});

test('[X5] who cannot be reached within the deadline was not: unavailable, not unknown', async () => {
  const clock = new FakeClock();
  const never = new Promise<Host>(() => undefined);
  const peers = new HostPeers(clock, undefined, () => never);
  const call = peers.run('a', deliver, 'n', letter, { withinMs: 1_000 });
  clock.advance(1_000);
  await expect(call).rejects.toMatchObject({ code: 'unavailable' });
});

test('[X23] a member that answers no ping for 15 s is given up: what it had is uncertain, the next call connects anew', async () => {
  const clock = new FakeClock();
  let hear: (bytes: number) => void = () => undefined;
  const table = tableOf([serve.waiting(recipeMethod(deliver), () => new Promise(() => undefined))]);
  const served = new ServedConnections({ clock: systemClock, table, raw: false });
  let accepted = 0;
  const server = createServer((socket) => {
    accepted++;
    served.serve(socket);
    socket.on('data', (bytes: Buffer) => hear(bytes.length));
    // What it says after the welcome is lost.
    socket.once('data', () => systemClock.nextTurn(() => (socket.write = () => true)));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address() as { readonly port: number };
  const at = `member://127.0.0.1:${bound.port}`;
  const peers = new HostPeers(clock, undefined, reachListener(clock, systemRandom, undefined));
  const call = () => peers.run(at, deliver, 'box', letter, { withinMs: 60_000 });
  const first = expect(call()).rejects.toMatchObject({ code: 'uncertain' });
  // The preface with the hello, then the call.
  for (let chunks = 0; chunks < 2; chunks++)
    await new Promise<number>((resolve) => (hear = resolve));
  for (let step = 0; step < 30; step++) {
    clock.advance(1_000);
    await settled();
  }
  await first;
  expect(accepted).toBe(1);
  const second = call();
  second.catch(() => undefined);
  await once(server, 'connection');
  expect(accepted).toBe(2);
  await peers.close();
  server.close();
});
