import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { Command, type Finished, waymark } from '../support/command.js';
import { freePort } from '../support/free-port.js';
import { startEtcd } from '../support/etcd.js';
import { root } from '../tidy/sources.js';

let folder: string;
const started: Command[] = [];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'waymark-entrypoint-'));
  program('real', `exec "${process.execPath}" "${waymark}" "$@"`);
  // In its place: what it would be given.
  program('told', 'printf "%s\\n" "$@"; env | grep ^WAYMARK_ | sort');
});

afterAll(async () => {
  // What a test that failed has left.
  await Promise.all(started.map((one) => one.stop('SIGKILL')));
  rmSync(folder, { recursive: true });
});

function program(name: string, line: string): void {
  mkdirSync(join(folder, name));
  writeFileSync(join(folder, name, 'waymark'), `#!/bin/sh\n${line}\n`);
  chmodSync(join(folder, name, 'waymark'), 0o755);
}

function start(
  which: 'real' | 'told',
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Command {
  const PATH = `${join(folder, which)}:${process.env['PATH'] ?? ''}`;
  const one = new Command(join(root, 'deploy/entrypoint.sh'), args, {
    cwd: folder,
    env: { ...env, PATH },
    input: null,
  });
  started.push(one);
  return one;
}

const told = (args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Finished> =>
  start('told', args, env).done;

test.each([
  [[], ['serve']],
  [
    ['--listen', '0.0.0.0:7420', '--engine', 'file:/data/a b'],
    ['serve', '--listen', '0.0.0.0:7420', '--engine', 'file:/data/a b'],
  ],
  [
    ['serve', '--insecure'],
    ['serve', '--insecure'],
  ],
  [
    ['stash', 'put', 'i', 'k', "it's $HOME"],
    ['stash', 'put', 'i', 'k', "it's $HOME"],
  ],
  [['--version'], ['--version']],
  [['--help'], ['--help']],
])('[D10] %j starts waymark with %j', async (args, expected) => {
  const { code, out } = await told(args);
  expect([code, out]).toEqual([0, `${expected.join('\n')}\n`]);
});

test('[D10] secrets are read from files; a name that is given twice, or a file that cannot be read, is refused', async () => {
  const file = join(folder, 'token');
  writeFileSync(file, 'a "secret" of $HOME\n');
  const keys = join(folder, 'keys');
  writeFileSync(keys, 'two:B\none:A\n');
  const { out } = await told(['status'], {
    WAYMARK_STASH_TOKEN_FILE: file,
    WAYMARK_SECRETS_KEY_FILE: keys,
    WAYMARK_NAMESPACE: 'n',
  });
  expect(out).toContain('WAYMARK_STASH_TOKEN=a "secret" of $HOME\n');
  expect(out).toContain('WAYMARK_SECRETS_KEY=two:B\n');
  expect(out).toContain('WAYMARK_NAMESPACE=n\n');
  expect(out).not.toContain('_FILE');

  const both = { WAYMARK_ENGINE: 'memory', WAYMARK_ENGINE_FILE: file };
  expect(await told([], both)).toMatchObject({ code: 2, out: '' });
  const none = await told([], { WAYMARK_ENGINE_FILE: join(folder, 'none') });
  expect([none.code, none.err]).toEqual([2, expect.stringContaining('none cannot be read')]);
});

test.each(['SIGTERM', 'SIGINT'] as const)(
  '[D10] %s reaches waymark, which has taken the place of the entry point',
  { timeout: 30_000 },
  async (signal) => {
    const engine = join(folder, 'engine');
    writeFileSync(engine, 'memory\n');
    const server = start('real', ['serve', '--listen', '127.0.0.1:0'], {
      WAYMARK_ENGINE_FILE: engine,
    });
    expect(await server.says('Try, from another shell')).toContain('serves memory at');
    const { code, err } = await server.stop(signal);
    expect(code, err).toBe(0);
    // A process that is killed by the signal, or a shell that is left behind, ends otherwise.
    expect(server.child.signalCode).toBeNull();
  },
);

test('[D6.4] wait-until-safe returns when the others hold what the node holds, and gives up when they do not in time', async () => {
  const etcd = await startEtcd();
  const engine = `etcd://${etcd.address}/deploy`;
  const token = join(folder, 'stash-token');
  writeFileSync(token, 'shared');
  const nodes = await Promise.all(
    ['a', 'b', 'c'].map(async (name) => {
      const at = `127.0.0.1:${await freePort()}`;
      const env = {
        WAYMARK_ENGINE: engine,
        WAYMARK_STASH_TOKEN_FILE: token,
        WAYMARK_STASH_ADVERTISE: at,
        WAYMARK_SAFE_SECONDS: '30',
      };
      // Without a zone, as where pods do not know theirs.
      const args = [`--data=${join(folder, name)}`, `--listen=${at}`, '--zone='];
      const node = start('real', ['stash', ...args, `--advertise=${at}`], env);
      await node.says('of the stash at');
      return { node, env };
    }),
  );
  const [first, , third] = nodes as [(typeof nodes)[0], (typeof nodes)[0], (typeof nodes)[0]];
  const run = (args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Finished> =>
    start('real', args, { ...first.env, ...env }).done;

  await vi.waitFor(
    async () => {
      const { out } = await run(['stash', '--space', engine, 'nodes']);
      expect(out.match(/ active /g)?.length, out).toBe(3);
    },
    { timeout: 60_000, interval: 500 },
  );
  expect((await run(['stash', '--space', engine, 'put', 'i', 'k', 'v'])).code).toBe(0);
  const safe = await run(['wait-until-safe']);
  // The last move may not be over yet, which is waited for.
  expect([safe.code, safe.out], safe.err).toEqual([0, expect.stringMatching(/^(no: .*\n)*yes\n$/)]);

  const other = await run(['wait-until-safe'], { WAYMARK_STASH_ADVERTISE: '127.0.0.1:1' });
  expect([other.code, other.out]).toEqual([0, expect.stringContaining('nothing to wait for')]);

  await third.node.stop('SIGKILL');
  const unsafe = await run(['wait-until-safe'], { WAYMARK_SAFE_SECONDS: '0' });
  expect([unsafe.code, unsafe.out], unsafe.err).toEqual([1, expect.stringMatching(/^no: /)]);
  await Promise.all(nodes.map(({ node }) => node.stop()));
  await etcd.stop();
});
