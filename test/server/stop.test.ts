import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { serve } from './served.js';
import { EventReader } from './sse.js';

const command = fileURLToPath(
  new URL('../../packages/server/dist/bundle/main.js', import.meta.url),
);

test('[stop] closing ends streams, refuses waiting locks, and leaves no connection', async () => {
  const served = await serve();
  await served.call('PUT', '/v1/ns/a/keys/x', { body: '1' });
  const stream = await EventReader.open(`${served.base}/v1/ns/a/watch/x`);
  await stream.take(1);
  await served.call('POST', '/v1/ns/a/locks/l', { body: { ttlMs: 30_000 } });
  const waiting = served.call('POST', '/v1/ns/a/locks/l', {
    body: { ttlMs: 30_000, waitMs: 60_000 },
  });
  const polling = served.call('GET', '/v1/ns/a/keys/x?wait=60s');
  await waiters(served, 1);
  const began = performance.now();
  await Promise.all([served.server.close(), served.server.close()]);
  expect(performance.now() - began).toBeLessThan(5_000);
  expect((await waiting).json['code']).toBe('unavailable');
  expect((await polling).json['code']).toBe('unavailable');
  expect(await stream.next()).toBeNull();
  await expect(fetch(served.base)).rejects.toThrow();
});

test('[stop] SIGTERM drains a process: the call under way is answered, the exit is 0 and quick', async () => {
  const child = spawn(
    process.execPath,
    [command, '--json', 'serve', '--listen', '127.0.0.1:0', '--engine', 'memory'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const lines = createInterface({ input: child.stdout });
  const [line] = (await once(lines, 'line')) as [string];
  const { addresses } = JSON.parse(line) as { addresses: string[] };
  const base = `http://${addresses[0] ?? ''}`;
  const stream = await EventReader.open(`${base}/v1/ns/a/watch/x`);
  // The server has the headers, and waits for the rest of the body, when the signal comes.
  let send: (chunk: string) => void = () => undefined;
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode('first'));
      send = (chunk) => {
        controller.enqueue(new TextEncoder().encode(chunk));
        controller.close();
      };
    },
  });
  const put = fetch(`${base}/v1/ns/a/keys/y`, {
    method: 'PUT',
    body,
    duplex: 'half',
  } as RequestInit);
  const health = await fetch(`${base}/healthz`);
  expect(health.status).toBe(200);
  const began = performance.now();
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  // The end of the stream shows that it stops.
  expect(await stream.next()).toBeNull();
  send(' and last');
  expect((await put).status).toBe(200);
  expect(await exited).toEqual([0, null]);
  expect(performance.now() - began).toBeLessThan(10_000);
});

async function waiters(served: Awaited<ReturnType<typeof serve>>, count: number): Promise<void> {
  for (;;) {
    const { json } = await served.call('GET', '/v1/ns/a/locks/l');
    if ((json['waiters'] as unknown[]).length === count) return;
  }
}
