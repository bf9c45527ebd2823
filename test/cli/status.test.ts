import { afterAll, beforeAll, expect, test } from 'vitest';
import { open } from 'waymark';
import { Command, runWaymark, serve, waymark } from '../support/command.js';

let server: Command;
let url: string;

beforeAll(async () => {
  ({ command: server, url } = await serve(['--engine', 'memory', '--no-stash']));
});

afterAll(async () => {
  await server.stop();
});

test('waymark status: for people, and as JSON with the figures of the engine', async () => {
  const { code, out } = await runWaymark(url, ['status']).done;
  expect(code).toBe(0);
  for (const line of [/^version +\d/m, /^ready +yes$/m, /^engine +memory /m, /^data +in memory/m])
    expect(out).toMatch(line);
  const told = JSON.parse((await runWaymark(url, ['status', '--json']).done).out) as object;
  expect(told).toMatchObject({ engine: 'memory', keys: 0, ready: { ok: true }, stash: null });
});

test('waymark top: rates and the busiest namespaces, a line each time; JSON by --json', async () => {
  await using space = await open(url);
  const [busy, quiet] = [space.namespace('busy'), space.namespace('quiet')];
  const top = runWaymark(url, ['top', '--interval', '300ms', '--count', '2', '--json']);
  let writes = 0;
  while (top.child.exitCode === null && top.out.split('\n').length < 3) {
    await busy.put('/a', writes++);
    if (writes % 4 === 0) await quiet.put('/a', writes);
  }
  const { code, out } = await top.done;
  expect(code).toBe(0);
  const [, second] = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as TopLine);
  expect(second?.namespaces.map(({ name }) => name)).toEqual(['busy', 'quiet']);
  const [first, other] = second?.namespaces ?? [];
  expect(first?.writes).toBeGreaterThan((other?.writes ?? 0) * 2);
  expect(second?.commits.perSecond).toBeGreaterThan(0);
  expect(second?.commits.p99Ms).toBeGreaterThan(0);
  const plain = await runWaymark(url, ['top', '--interval', '100ms', '--count', '1']).done;
  expect(plain.out).toMatch(/^revision \d+ {2}commits .*\n$/);
});

interface TopLine {
  readonly commits: { readonly perSecond: number; readonly p99Ms: number };
  readonly namespaces: readonly { readonly name: string; readonly writes: number }[];
}

test('waymark top ends on SIGINT, and at a terminal on q, which gives the screen back', async () => {
  const lines = runWaymark(url, ['top', '--interval', '100ms']);
  await lines.says('revision');
  expect((await lines.stop('SIGINT')).code).toBe(0);
  const command = `${process.execPath} ${waymark} --server ${url} top --interval 100ms`;
  const shown = new Command('script', ['-qec', command, '/dev/null'], { input: null });
  await shown.says('q ends it');
  shown.child.stdin?.write('q');
  const { code, out } = await shown.done;
  expect(code).toBe(0);
  expect(out).toContain('\u001b[?1049h');
  expect(out.trimEnd().endsWith('\u001b[?1049l')).toBe(true);
});
