import { once } from 'node:events';
import { connect } from 'node:http2';
import { expect, test } from 'vitest';
import { errorTable } from 'waymark/engine';
import { runWaymark, serve } from '../support/command.js';
import { run, url } from '../support/served.js';

/** Flags that change what a process does, and that nothing else of the command line shows. */

test('[L2] lock --shared: sections run beside each other, and one that is exclusive waits for all of them', async () => {
  const readers = ['one', 'two'].map((name) =>
    runWaymark(
      url,
      ['lock', '/shared', '--shared', '--', 'sh', '-c', `echo ${name}; read go`],
      null,
    ),
  );
  await Promise.all(readers.map((reader) => reader.says('\n')));
  expect((await run('lock', '/shared', '--wait', '0s', '--', 'true')).code).toBe(
    errorTable.timeout.exit,
  );
  const writer = runWaymark(url, ['lock', '/shared', '--', 'echo', 'alone']);
  const [first, second] = readers;
  first?.child.stdin?.end('go\n');
  expect((await first?.done)?.code).toBe(0);
  expect(writer.out).toBe('');
  second?.child.stdin?.end('go\n');
  expect((await second?.done)?.code).toBe(0);
  expect((await writer.done).out).toBe('alone\n');
});

/** How many bytes a stream may send before the server has taken some: each layer offers its own. */
async function windowOf(layer: string): Promise<number | undefined> {
  const { command, url: at } = await serve(['--engine', 'memory', '--http2', layer]);
  const session = connect(at);
  try {
    const [settings] = (await once(session, 'remoteSettings')) as [{ initialWindowSize?: number }];
    return settings.initialWindowSize;
  } finally {
    session.destroy();
    await command.stop();
  }
}

test('[cli] serve --http2: either layer, the own one unless told, and no other', async () => {
  expect(await windowOf('own')).toBe(262_144);
  expect(await windowOf('node')).toBe(1_048_576);
  const other = await run('serve', '--listen', '127.0.0.1:0', '--http2', 'spdy');
  expect(other).toMatchObject({ code: 2 });
  expect(other.err).toContain('own, node');
});

test('[cli] serve --etcd-quota: a put that passes it is refused, and the alarm stands', async () => {
  const { command, url: at } = await serve(['--engine', 'memory', '--etcd-quota', '1000']);
  const ask = async (path: string, body: object): Promise<{ status: number; text: string }> => {
    const answer = await fetch(`${at}/v3/${path}`, { method: 'POST', body: JSON.stringify(body) });
    return { status: answer.status, text: await answer.text() };
  };
  const put = (bytes: number) => ask('kv/put', { key: btoa('k'), value: btoa('x'.repeat(bytes)) });
  expect((await put(10)).status).toBe(200);
  const full = await put(2_000);
  expect(full.status).not.toBe(200);
  expect(full.text).toContain('mvcc: database space exceeded');
  expect((await ask('maintenance/alarm', { action: 'GET' })).text).toContain('NOSPACE');
  await command.stop();
});
