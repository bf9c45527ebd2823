import { startServer } from '@waymark/server';
import { startGate } from '@waymark/server/testing';
import { open } from 'waymark';
import { connectHost, semaphoreCalls, systemClock } from 'waymark/engine';
import { expect, onTestFinished, test } from 'vitest';

test('[L6] who comes back while its request waits keeps its place, whatever becomes of the wait that it left', async () => {
  const listen = ['127.0.0.1:0'];
  const server = await startServer({ listen, engine: 'memory', logLevel: 'silent' });
  onTestFinished(() => server.close());
  const [address = ''] = server.addresses;
  await using gate = await startGate({ port: Number(address.split(':').at(-1)) });
  await using near = await open(`http://${address}`, { owner: 'near' });
  await using far = await open(`http://127.0.0.1:${gate.port}`, { owner: 'far' });
  const waiters = async () => (await near.namespace('n').explain('/l')).waiters.length;
  const held = await near.namespace('n').lock('/l');

  const late = far.namespace('n').lock('/l', { waitMs: 800 });
  const refused = expect(late).rejects.toMatchObject({ code: 'timeout' });
  await expect.poll(waiters).toBe(1);
  await gate.interrupt();
  await gate.mend();
  // The wait that was left would have ended before.
  await refused;
  await expect.poll(waiters).toBe(0);

  const served = far.namespace('n').lock('/l');
  await expect.poll(waiters).toBe(1);
  await gate.interrupt();
  await gate.mend();
  await expect.poll(async () => (await far.namespace('n').explain('/l')).waiters.length).toBe(1);
  await held.release();
  await (await served).release();
}, 20_000);

test('[L7] a wait that is asked for again after the connection broke has the time that is left, not all of it anew', async () => {
  const server = await startServer({
    listen: ['127.0.0.1:0'],
    engine: 'memory',
    logLevel: 'silent',
  });
  onTestFinished(() => server.close());
  const port = Number(server.addresses[0]?.split(':').at(-1));
  await using gate = await startGate({ port });
  let later = 0;
  const clock = { ...systemClock, now: () => systemClock.now() + later };
  await using host = await connectHost(`http://127.0.0.1:${gate.port}`, { clock });
  await using near = await connectHost(`http://127.0.0.1:${port}`);
  const { id: lease } = await near.grant(120_000);
  const asked = { tree: false, mode: 'exclusive', lease, owner: 'o' } as const;
  const lock = (by: typeof host, id: string, waitMs: number) =>
    by.acquire('n', { ...asked, path: '/l', id, session: id, waitMs });
  await lock(near, 'held', 0);
  const permit = (by: typeof host, id: string, waitMs: number) =>
    by.run(semaphoreCalls.acquire, 'n', {
      ...asked,
      path: '/p',
      id,
      session: id,
      weight: 1,
      limit: 1,
      waitMs,
    });
  await permit(near, 'held', 0);

  const waiting = [lock(host, 'waits', 60_000), permit(host, 'waits', 60_000)];
  const ended = Promise.all(
    waiting.map((wait) => expect(wait).rejects.toMatchObject({ code: 'timeout' })),
  );
  const waiters = async () => {
    const told = { path: '/l', tree: false, mode: 'exclusive' } as const;
    const permits = await near.run(semaphoreCalls.explain, 'n', {
      path: '/p',
      weight: 1,
      parties: 9,
    });
    return (await near.explain('n', told)).waiters.length + (permits?.waiters.length ?? 0);
  };
  await expect.poll(waiters).toBe(2);
  await gate.interrupt();
  later = 59_950;
  await gate.mend();
  await ended;
  expect(await waiters()).toBe(0);
}, 20_000);
