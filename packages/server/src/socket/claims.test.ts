import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { createLocalHost, createMemoryEngine, type Host, type LeaseId } from 'waymark/engine';
import { FakeClock } from 'waymark/testing';
import { connectHost } from '../../../waymark/src/space/remote-host.js';
import { createSocketFace } from './face.js';

interface Rig extends AsyncDisposable {
  /** Of the engine. */
  readonly clock: FakeClock;
  /** Of the face: what is counted is looked up at most once a second. */
  readonly faceClock: FakeClock;
  readonly host: Host;
  readonly other: Host;
}

async function rig(limits: { leasesMax?: number; locksMax?: number }): Promise<Rig> {
  const [clock, faceClock] = [new FakeClock(), new FakeClock()];
  const engine = createMemoryEngine({ clock });
  const host = createLocalHost(engine);
  const face = createSocketFace({ host, limits, clock: faceClock });
  const server = createServer((socket) => void face.serve(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const [near, other] = [await connectHost(url), await connectHost(url)];
  return {
    clock,
    faceClock,
    host: near,
    other,
    async [Symbol.asyncDispose]() {
      await near[Symbol.asyncDispose]();
      await other[Symbol.asyncDispose]();
      server.close();
      await engine[Symbol.asyncDispose]();
    },
  };
}

let requests = 0;

async function lock(host: Host, lease: LeaseId, path: string): Promise<() => Promise<boolean>> {
  const hold = { id: `r${requests++}`, path, tree: false, mode: 'exclusive' as const };
  const party = { lease, owner: 'o', session: hold.id };
  const token = await host.acquire('n', { ...hold, ...party, waitMs: 0 });
  if (token === null) throw new Error('taken');
  return () => host.release('n', hold);
}

const full = (limit: string, max: number): object => ({
  code: 'overloaded',
  facts: { limit, max },
});

/** Resolves once what is there was looked up, and there is room. */
async function roomFor<T>(here: Rig, act: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await act();
    } catch {
      here.faceClock.advance(1_000);
    }
  }
}

test('[limits] leases of one client: the last is granted, one more is not; one that is given back or has ended leaves its room', async () => {
  await using here = await rig({ leasesMax: 3 });
  const { host, other, clock } = here;
  const first = await host.grant(60_000);
  await host.grant(2_000);
  await host.grant(60_000);
  await expect(host.grant(60_000)).rejects.toMatchObject(full('leasesMax', 3));
  await other.grant(60_000);
  await host.revoke(first.id);
  await host.grant(60_000);
  await expect(host.grant(60_000)).rejects.toMatchObject(full('leasesMax', 3));
  clock.advance(4_000);
  await roomFor(here, () => host.grant(60_000));
  await expect(host.grant(60_000)).rejects.toMatchObject(full('leasesMax', 3));
});

test('[limits] locks of one client: the last is taken, one more is not; what was released, refused, forced or ended with its lease leaves its room', async () => {
  await using here = await rig({ locksMax: 3 });
  const { host, other } = here;
  const { id: lease } = await host.grant(60_000);
  const { id: short } = await host.grant(60_000);
  const { id: theirs } = await other.grant(60_000);
  const release = await lock(host, lease, '/a');
  await lock(host, lease, '/b');
  // What was not taken is not counted.
  await lock(other, theirs, '/other');
  for (let n = 0; n < 5; n++) await expect(lock(host, lease, '/other')).rejects.toThrow('taken');
  await lock(host, short, '/c');
  await expect(lock(host, lease, '/d')).rejects.toMatchObject(full('locksMax', 3));
  await lock(other, theirs, '/d');
  expect(await release()).toBe(true);
  await lock(host, lease, '/e');
  await expect(lock(host, lease, '/f')).rejects.toMatchObject(full('locksMax', 3));
  await other.forceUnlock('n', '/b', 'a test');
  await roomFor(here, () => lock(host, lease, '/f'));
  await expect(lock(host, lease, '/g')).rejects.toMatchObject(full('locksMax', 3));
  await other.revoke(short);
  await roomFor(here, () => lock(host, lease, '/g'));
  await expect(lock(host, lease, '/h')).rejects.toMatchObject(full('locksMax', 3));
});
