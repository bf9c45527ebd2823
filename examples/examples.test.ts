import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { open } from 'waymark';
import { Command, serve } from '../test/support/command.js';

const example = (
  name: string,
  args: readonly string[],
  options: { input?: string | null; env?: NodeJS.ProcessEnv } = {},
) =>
  new Command(
    process.execPath,
    [fileURLToPath(new URL(`dist/${name}.js`, import.meta.url)), ...args],
    options,
  );

let server: Command;
let url: string;

beforeAll(async () => {
  ({ command: server, url } = await serve(['--engine', 'memory']));
});

afterAll(async () => {
  await server.stop();
});

test('[W13] cache invalidation across two processes', async () => {
  const one = example('cache-invalidation', [url], { input: null });
  const two = example('cache-invalidation', [url], { input: null });
  await Promise.all([one.says('ready'), two.says('ready')]);
  // The watch may tell of a write after it was read and cached, and the cache then forgets once more than it must: so it is
  // asked until it answers, and what counts is that a foreign write is never hidden for long.
  const asked = async (answer: string): Promise<void> => {
    while (!one.out.includes(answer)) {
      const before = one.out.length;
      one.child.stdin?.write('/gold\n');
      await one.grows(before);
    }
  };
  one.child.stdin?.write('/gold=10\n');
  await asked('/gold is 10 (source)');
  await asked('/gold is 10 (cache)');
  two.child.stdin?.write('/gold=11\n');
  await asked('/gold is 11 (source)');
  await asked('/gold is 11 (cache)');
  expect(one.out).toContain('forgot /gold');
  one.child.stdin?.end();
  two.child.stdin?.end();
  expect([(await one.done).code, (await two.done).code]).toEqual([0, 0]);
});

test('[L1] a cron job runs in one replica, and goes on in another when that one is killed', async () => {
  const env = { EVERY_MS: '20' };
  const replicas = ['a', 'b', 'c'].map((name) =>
    example('cron-once', [url, name], { env, input: null }),
  );
  await Promise.all(replicas.map((replica) => replica.says('ready')));
  const first = await Promise.any(
    replicas.map(async (replica) => (await replica.says('run 5 '), replica)),
  );
  expect(replicas.filter((replica) => replica.out.includes('run 1 ')).length).toBe(1);
  await first.stop('SIGKILL');
  const rest = replicas.filter((replica) => replica !== first);
  const second = await Promise.any(
    rest.map(async (replica) => (await replica.says('run '), replica)),
  );
  expect(second.out).toContain('run ');
  await Promise.all(rest.map((replica) => replica.stop()));
  const runs = replicas.flatMap((replica) =>
    [...replica.out.matchAll(/run (\d+)/g)].map((match) => Number(match[1])),
  );
  expect(new Set(runs).size, 'no run was counted twice').toBe(runs.length);
});

test('[E7] a resource is extended below its key while its owner watches, and another owner goes on when that one is killed', async () => {
  const own = (name: string) => example('whatnot', [url, 'own', name, '/printers/3']);
  const extend = async (...parts: string[]) => {
    const { code, out, err } = await example('whatnot', [url, 'extend', '/printers/3', ...parts])
      .done;
    expect(code, err).toBe(0);
    return out;
  };
  const first = own('first');
  await first.says('first owns /printers/3');
  const second = own('second');
  await second.says('ready');
  expect(await extend('tray=2', 'toner=black')).toContain('first counts 2 parts');
  expect(first.out).toContain('first sees /printers/3/parts/tray = 2');
  expect(first.out).toContain('first sees /printers/3/parts/toner = black');
  expect(second.out).not.toContain('sees');
  await first.stop('SIGKILL');
  expect(await extend('lamp=green')).toContain('second counts 3 parts');
  const terms = [first, second].map(({ out }) => Number(/in term (\d+)/.exec(out)?.[1]));
  expect(terms[1]).toBeGreaterThan(terms[0] as number);
  expect((await second.stop()).code).toBe(0);
});

test('[W5] a job list is worked off by several processes, each job once and whole', async () => {
  const space = await open(url);
  const jobs = space.namespace('jobs');
  for (let i = 0; i < 40; i++) await jobs.put(`/todo/${i}`, { parts: 5 });
  const workers = ['a', 'b', 'c'].map((name) => example('job-list', [url, name]));
  const ended = await Promise.all(workers.map((worker) => worker.done));
  expect(ended.map(({ code, err }) => [code, err])).toEqual(ended.map(() => [0, '']));
  const did = ended.flatMap(({ out }) =>
    out
      .trim()
      .split('\n')
      .filter((line) => line !== ''),
  );
  expect(did.length).toBe(40);
  expect((await jobs.tree('/todo')).entries).toEqual([]);
  expect((await jobs.children('/done')).entries.length).toBe(40);
  await space.close();
});

test('[N9] a namespace saved at shutdown is there at the next start', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'waymark-notes-'));
  const file = join(folder, 'state.json');
  expect((await example('save-at-shutdown', [file], { input: 'one\ntwo\n' }).done).out).toBe(
    '0 notes\n',
  );
  expect((await example('save-at-shutdown', [file], { input: 'three\n' }).done).out).toBe(
    '2 notes\n',
  );
  expect((await example('save-at-shutdown', [file]).done).out).toBe('3 notes\n');
  rmSync(folder, { recursive: true });
});

/** A line of the demo service, as it is typed. */
const curl = async (port: number, line: string, body: string): Promise<string> => {
  const args = ['-sS', `localhost:${port}${line}`, '-d', body];
  const { code, out, err } = await new Command('curl', args).done;
  expect(code, err).toBe(0);
  return out;
};

const replica = async (
  ...args: string[]
): Promise<{ copy: Command; port: number; name: string }> => {
  const copy = example('replicas', args, { input: null });
  await copy.says('ready: ');
  const [, name = '', port = ''] = /ready: (.*:(\d+))/.exec(copy.out) ?? [];
  return { copy, port: Number(port), name };
};

test('[H11] the four lines of the demo service work against one process alone', async () => {
  const { copy, port, name } = await replica('--port', '0');
  expect(await curl(port, '/put', 'samplekey samplevalue')).toBe('samplekey 1\n');
  expect(await curl(port, '/get', 'samplekey')).toBe('samplevalue\n');
  expect(await curl(port, '/get', 'otherkey')).toBe('nothing was put to otherkey\n');
  expect(await curl(port, '/send', 'hello-world')).toMatch(`${name} leads term`);
  expect(await curl(port, '/broadcast', 'hello-all')).toBe(`${name}: hello-all\n`);
  expect((await copy.stop()).code).toBe(0);
});

test('[H11] they work against any of three copies, and again when the leader was killed', async () => {
  const ttlMs = 2_000;
  const first = await replica('--space', url, '--port', '0', '--ttl', String(ttlMs));
  // The next free port is taken where the one asked for is not.
  const args = ['--space', url, '--port', String(first.port), '--ttl', String(ttlMs)];
  const copies = [first, await replica(...args), await replica(...args)];
  expect(new Set(copies.map(({ port }) => port)).size).toBe(3);
  const names = copies.map(({ name }) => name).sort();
  for (const { port } of copies) {
    expect(await curl(port, '/put', `samplekey value ${port}`)).toMatch(/^samplekey \d\n$/);
    for (const other of copies) {
      expect(await curl(other.port, '/get', 'samplekey')).toBe(`value ${port}\n`);
    }
    expect(await curl(port, '/send', 'hello-world')).toMatch(/ leads term \d+: hello-world\n$/);
    const all = names.map((name) => `${name}: hello-all\n`).join('');
    expect(await curl(port, '/broadcast', 'hello-all')).toBe(all);
  }
  const said = await curl(first.port, '/send', 'who?');
  const leader = copies.find(({ name }) => said.startsWith(name));
  const rest = copies.filter((copy) => copy !== leader);
  await leader?.copy.stop('SIGKILL');
  const killed = performance.now();
  const after = await curl(rest[0]?.port ?? 0, '/send', 'hello-again');
  expect(performance.now() - killed).toBeLessThan(ttlMs + 2_000);
  const [, name, term] = /^(.*) leads term (\d+): hello-again\n$/.exec(after) ?? [];
  expect(rest.map((copy) => copy.name)).toContain(name);
  expect(Number(term)).toBeGreaterThan(Number(/term (\d+)/.exec(said)?.[1]));
  for (const { copy } of rest) expect((await copy.stop()).code, copy.err).toBe(0);
});

test('[A9] 100 restarts of 5 processes that name their metrics use 5 names', async () => {
  const used = new Set<string>();
  const lives = async (worker: string): Promise<void> => {
    for (let life = 0; life <= 20; life++) {
      const one = example('metrics-names', [url, worker], { env: { EVERY_MS: '5' }, input: null });
      await one.says('.requests 1');
      used.add(/ready as (\w+)/.exec(one.out)?.[1] ?? 'nothing');
      const { err } = await one.stop(life % 2 === 0 ? 'SIGKILL' : 'SIGTERM');
      expect(err).toBe('');
    }
  };
  await Promise.all([1, 2, 3, 4, 5].map((i) => lives(`worker-${i}`)));
  const highest = ['Denali', 'MtLogan', 'PicodeOrizaba', 'MtStElias', 'VolcanPopocatepetl'];
  expect([...used].sort()).toEqual(highest.sort());
});

/** How each example is seen to work in one process alone, in memory. */
const alone: Readonly<Record<string, () => Promise<void>>> = {
  'cache-invalidation': async () => {
    const { code, out } = await example('cache-invalidation', ['memory:'], {
      input: '/gold=10\n/gold\n',
    }).done;
    expect(code).toBe(0);
    // The change may be told after the read that saw it.
    expect(out).toMatch(/^ready\n\/gold is 10 \(source\)\n(forgot \/gold\n)?$/);
  },
  'cron-once': async () => {
    const one = example('cron-once', ['memory:', 'alone'], { env: { EVERY_MS: '5' }, input: null });
    await one.says('run 3 by alone');
    expect((await one.stop()).code).toBe(0);
  },
  'job-list': async () => {
    const { code, out } = await example('job-list', ['memory:', 'alone', '5']).done;
    expect([code, out.split('alone did').length]).toEqual([0, 6]);
  },
  'metrics-names': async () => {
    const one = example('metrics-names', ['memory:', 'w'], { env: { EVERY_MS: '5' }, input: null });
    await one.says('metrics.Denali.requests 3');
    expect((await one.stop()).code).toBe(0);
  },
  replicas: async () => {
    const { copy, port, name } = await replica('--port', '0');
    expect(await curl(port, '/send', 'hi')).toContain(name);
    expect((await copy.stop()).code).toBe(0);
  },
  'save-at-shutdown': async () => {
    const folder = mkdtempSync(join(tmpdir(), 'waymark-alone-'));
    const { code, out } = await example('save-at-shutdown', [join(folder, 'state.json')]).done;
    expect([code, out]).toEqual([0, '0 notes\n']);
    rmSync(folder, { recursive: true });
  },
  whatnot: async () => {
    const { code, out } = await example('whatnot', ['memory:', 'alone', '/p', 'a=1', 'b=2']).done;
    expect(code).toBe(0);
    expect(out).toContain('alone counts 2 parts');
  },
};

const examples = readdirSync(new URL('.', import.meta.url))
  .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
  .map((name) => name.replace('.ts', ''));

test.each(examples)('[memory] %s works in one process alone', async (name) => {
  expect(alone[name], `say here how ${name} is seen to work alone`).toBeDefined();
  await alone[name]?.();
});
