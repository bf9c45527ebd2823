import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open } from 'waymark';
import { expect, test, vi } from 'vitest';
import { ServerProcess } from '../faults/server-process.js';
import { startHttpReceiver } from '../support/http-receiver.js';

/** A snapshot is due when the log has passed 64 MiB. */
const large = 'x'.repeat(1_000_000);
const larges = 70;
/** Bounds that alone would keep nothing. */
const tight = ['--history-revisions', '1', '--history-bytes', '1'];
const flags = [...tight, '--allow-endpoint-net', '127.0.0.1/32', '--log-level', 'error'];

test('[W6.1] an endpoint that is behind goes on in order after a snapshot, a kill and a restart: no resync', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'waymark-restart-'));
  const engine = `file:${join(directory, 'data')}`;
  await using receiver = await startHttpReceiver();
  receiver.answer = ({ response }) => response.writeHead(500).end();
  let refused = 0;
  try {
    {
      await using server = await ServerProcess.start(engine, {}, flags);
      await using space = await open(server.url);
      const endpoint = `http://127.0.0.1:${receiver.port}/`;
      const retry = Array.from({ length: 90 }, () => 1_000);
      await space.watchers.add({ pattern: '/o/*', endpoint, retry });
      const ns = space.namespace('default');
      for (let n = 1; n <= 3; n++) await ns.put(`/o/${n}`, n);
      for (let n = 0; n < larges; n++) await ns.put('/large', large);
      await vi.waitFor(async () => {
        const names = await readdir(join(directory, 'data'));
        expect(names).toContain('snapshot-0000000002');
        expect(names).not.toContain('log-0000000001');
      }, 60_000);
      refused = receiver.heard.length;
      expect(refused).toBeGreaterThan(0);
      server.child.kill('SIGKILL');
    }
    receiver.heard.length = 0;
    receiver.answer = ({ response }) => response.writeHead(204).end();
    await using server = await ServerProcess.start(engine, {}, flags);
    await using space = await open(server.url);
    await space.namespace('default').put('/o/4', 4);
    const told = (): unknown[] => receiver.heard.flatMap(({ body }) => subjects(body));
    await vi.waitFor(() => expect(told()).toContain('/o/4'), 60_000);
    expect(told()).toEqual(['/o/1', '/o/2', '/o/3', '/o/4']);
  } finally {
    await rm(directory, { recursive: true });
  }
}, 180_000);

/** Of one event, or of a batch of them. */
function subjects(body: Buffer): unknown[] {
  const events = [JSON.parse(body.toString())].flat() as { readonly subject: unknown }[];
  return events.map(({ subject }) => subject);
}
