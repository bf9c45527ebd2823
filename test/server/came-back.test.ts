import { startServer } from '@waymark/server';
import { startGate } from '@waymark/server/testing';
import { open } from 'waymark';
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
