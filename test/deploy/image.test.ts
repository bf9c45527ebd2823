import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  chmodSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { open } from 'waymark';
import { Command } from '../support/command.js';
import { root } from '../tidy/sources.js';
import { build, contextIn, instructionsOf, type Stage } from './dockerfile.js';
import { compose } from './manifests.js';

const dockerfile = readFileSync(join(root, 'deploy/Dockerfile'), 'utf8');
let folder: string;
let stages: ReadonlyMap<string, Stage>;
let image: Stage;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waymark-image-'));
  chmodSync(folder, 0o755);
  const context = join(folder, 'context');
  mkdirSync(context);
  contextIn(context);
  stages = await build(dockerfile, context, folder);
  image = stages.get('waymark') as Stage;
}, 600_000);

// A tree of all that is installed, on a busy disk.
afterAll(() => rmSync(folder, { recursive: true, force: true }), 600_000);

/** As the container would be started, but for its root: as its user, in its directory, with its variables. */
function start(
  { folder: at, directory, user, env, entrypoint, command }: Stage,
  args = command,
  more: { env?: NodeJS.ProcessEnv } = {},
): Command {
  const [uid, gid] = user.split(':');
  const PATH = (env['PATH'] ?? '$PATH')
    .replace(/(^|:)\//g, `$1${at}/`)
    .replace('$PATH', process.env['PATH'] ?? '');
  const found = entrypoint.map((word) => (word.startsWith('/') ? join(at, word) : word));
  return new Command(
    'setpriv',
    [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--no-new-privs', ...found, ...args],
    { cwd: join(at, directory), input: null, env: { ...env, ...more.env, PATH } },
  );
}

async function served(args: readonly string[]): Promise<{ server: Command; url: string }> {
  const server = start(image, args);
  await server.says('Try, from another shell');
  const [, address = ''] = / at (\S+)\. Try/.exec(server.out) ?? [];
  return { server, url: `http://${address}` };
}

/** Every file and when it was changed. */
function state(of: string): string[] {
  return readdirSync(of, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
    .map((file) => `${file} ${statSync(file).mtimeMs} ${statSync(file).size}`)
    .sort();
}

test('[D10] what comes out runs as a user of its own, keeps its data on its volume alone, and ends by SIGTERM', async () => {
  expect(image.user).toBe('1000:1000');
  expect(image.volumes).toEqual([image.directory]);
  expect(image.command).toEqual(['serve']);
  const data = join(image.folder, image.directory);
  const before = state(image.folder);
  const first = await served(['--listen', '127.0.0.1:0']);
  {
    await using space = await open(first.url);
    await space.namespace('n').put('/a', 1);
    await space.stash.index('i').put('k', new Date(0));
  }
  const { code, err } = await first.server.stop();
  expect(code, err).toBe(0);
  const second = await served(['serve', '--listen', '127.0.0.1:0']);
  {
    await using space = await open(second.url);
    expect((await space.namespace('n').get('/a'))?.value).toBe(1);
    expect(await space.stash.index('i').get('k')).toEqual(new Date(0));
  }
  await second.server.stop();
  expect(state(image.folder).filter((line) => !line.startsWith(data))).toEqual(before);
  expect(readdirSync(data).sort()).toEqual(
    expect.arrayContaining(['waymark-data', 'waymark-data-stash']),
  );
});

test('[D10] its health check tells a server that answers from one that is not there', async () => {
  const { server, url } = await served(['--listen', '127.0.0.1:0', '--engine', 'memory']);
  const check = (at: string) =>
    start(
      { ...image, entrypoint: [] },
      image.healthcheck.map((word) => word.replace('http://127.0.0.1:7420', at)),
    ).done;
  expect(image.healthcheck.join(' ')).toContain("'http://127.0.0.1:7420/healthz'");
  expect((await check(url)).code).toBe(0);
  await server.stop();
  expect((await check(url)).code).toBe(1);
});

test('[D10] it has the clients of the engines, and tells which version it is', async () => {
  const { version } = JSON.parse(
    readFileSync(join(root, 'packages/server/package.json'), 'utf8'),
  ) as { version: string };
  expect((await start(image, ['--version']).done).out).toBe(`${version}\n`);
  for (const engine of ['etcd://127.0.0.1:9/x', 'postgres://a:b@127.0.0.1:9/x?timeoutMs=500']) {
    const { code, err } = await start(image, ['--engine', engine]).done;
    expect([engine, code, err]).toEqual([engine, 16, expect.stringContaining('(unavailable)')]);
  }
});

test('[D10] the example of the replicas runs from its own target', async () => {
  const copy = start(stages.get('replicas') as Stage, ['--host=127.0.0.2', '--port=0']);
  await copy.says('ready: 127.0.0.2:');
  expect((await copy.stop()).code).toBe(0);
});

test('[D10] it is made from small images of the Node.js that is supported, the last target is the server, and compose builds it', () => {
  const from = instructionsOf(dockerfile).filter(([name]) => name === 'FROM');
  for (const [, rest] of from) expect(rest).toMatch(/^node:20-bookworm-slim AS /);
  expect(from.at(-1)?.[1]).toMatch(/ AS waymark$/);
  const { build: built } = compose.services['server-1'] ?? {};
  expect(join('deploy', built?.context ?? '')).toBe('.');
  expect(built?.dockerfile).toBe('deploy/Dockerfile');
});
