import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  chmodSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { service } from '#services';
import { Command, serve, waymark } from '../support/command.js';
import { root } from './sources.js';

/**
 * Every block of the READMEs, the guides and the pages beside them is run: `ts` as a module, `sh` in a shell with `waymark` on the PATH and a server,
 * `py` by Python, `go` by Go.
 */

interface Block {
  readonly name: string;
  readonly language: string;
  readonly text: string;
}

const pages = [
  'README.md',
  'packages/waymark/README.md',
  'packages/server/README.md',
  ...pagesIn('docs'),
  ...pagesIn('docs/guide'),
];

function pagesIn(folder: string): string[] {
  const names = readdirSync(join(root, folder)).filter((name) => name.endsWith('.md'));
  return names.map((name) => `${folder}/${name}`);
}

function blocksOf(page: string): Block[] {
  const text = readFileSync(join(root, page), 'utf8');
  return [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(
    ([, language = '', body = ''], i) => ({
      name: `${page} block ${i + 1}`,
      language,
      text: body,
    }),
  );
}

const blocks = pages.flatMap(blocksOf);
const folder = mkdtempSync(join(tmpdir(), 'waymark-docs-'));
const programs = blocks.filter(({ language }) => language === 'ts');
let server: Command;
let url: string;
/** What the compiler says of all programs, a line each. */
let complaints: readonly string[];

beforeAll(async () => {
  ({ command: server, url } = await serve([
    ...['--engine', 'memory', '--stash', join(folder, 'stash')],
  ]));
  mkdirSync(join(folder, 'bin'));
  mkdirSync(join(folder, 'node_modules'));
  writeFileSync(
    join(folder, 'bin/waymark'),
    `#!/bin/sh\nexec "${process.execPath}" "${waymark}" "$@"\n`,
  );
  chmodSync(join(folder, 'bin/waymark'), 0o755);
  symlinkSync(join(root, 'packages/waymark'), join(folder, 'node_modules/waymark'));
  for (const name of ['etcd3', 'fastify', 'vitest', '@waymark']) {
    symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name));
  }
  for (const { name, text } of programs) {
    writeFileSync(join(folder, fileOf(name, text)), text.replaceAll('http://127.0.0.1:7420', url));
  }
  complaints = await compile(programs.map(({ name, text }) => fileOf(name, text)));
});

function isSuite(text: string): boolean {
  return text.includes("from 'vitest'");
}

function fileOf(name: string, text: string): string {
  return `${name.replace(/\W+/g, '-')}${isSuite(text) ? '.test' : ''}.mts`;
}

/** All at once: the compiler takes as long for one as for fifty. */
async function compile(files: readonly string[]): Promise<string[]> {
  const tsc = join(root, 'node_modules/.bin/tsc');
  const options = ['--module', 'nodenext', '--target', 'es2022', '--strict', '--skipLibCheck'];
  const lib = ['--lib', 'es2023,esnext.disposable', '--types', 'node'];
  const types = ['--typeRoots', join(root, 'node_modules/@types'), '--pretty', 'false'];
  const { code, out, err } = await new Command(tsc, [...options, ...lib, ...types, ...files], {
    cwd: folder,
  }).done;
  expect(code === 0 || out.includes('.mts('), out + err).toBe(true);
  return out.split('\n');
}

afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true });
});

test('[docs] the README has its blocks, and no block is of a kind that nothing runs', () => {
  expect(blocks.filter(({ language }) => language === 'ts').length).toBeGreaterThan(0);
  expect(blocks.filter(({ language }) => language === 'sh').length).toBeGreaterThan(0);
  // Blocks without a language are commands that install or start, or pictures; SQL is what others run.
  for (const { name, language } of blocks) {
    expect(['', 'ts', 'sh', 'py', 'go', 'sql'], name).toContain(language);
  }
});

test.each(blocks.filter(({ language }) => language === 'sh'))(
  '[docs] $name runs',
  async ({ text }) => {
    const script = text.replaceAll('http://127.0.0.1:7420', url);
    const env = {
      PATH: `${join(folder, 'bin')}:${process.env['PATH'] ?? ''}`,
      WAYMARK_SERVER: url,
    };
    const { code, err } = await new Command('bash', ['-euo', 'pipefail', '-c', script], {
      cwd: folder,
      env,
    }).done;
    expect(code, err).toBe(0);
  },
);

test.each(programs)('[docs] $name runs', async ({ name, text }) => {
  const file = fileOf(name, text);
  expect(complaints.filter((line) => line.startsWith(`${file}(`))).toEqual([]);
  const vitest = [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--root', folder];
  const run = [...(isSuite(text) ? vitest : []), join(folder, file.replace('.mts', '.mjs'))];
  const { code, out, err } = await new Command(process.execPath, run, { cwd: folder }).done;
  expect(code, out + err).toBe(0);
  expectTold(text, out);
});

test.each(blocks.filter(({ language }) => language === 'py'))(
  '[docs] $name runs',
  async ({ text }) => {
    const program = text
      .replaceAll('http://127.0.0.1:7420', url)
      .replaceAll('port=7420', `port=${new URL(url).port}`);
    const python = service('python-etcd3').path;
    const { code, out, err } = await new Command(python, ['-c', program], { cwd: folder }).done;
    expect(code, err).toBe(0);
    expectTold(text, out);
  },
);

test.each(blocks.filter(({ language }) => language === 'go'))(
  '[docs] $name runs',
  async ({ text }) => {
    // Debian's client is that of etcd 3.4, which had another name.
    const program = text
      .replaceAll('go.etcd.io/etcd/client/v3', 'go.etcd.io/etcd/clientv3')
      .replaceAll('127.0.0.1:7420', new URL(url).host);
    writeFileSync(join(folder, 'block.go'), program);
    const gopath = '/usr/share/gocode';
    const env = { GO111MODULE: 'off', GOPATH: gopath, GOCACHE: join(folder, 'go') };
    const go = service('go-etcd').path;
    const { code, out, err } = await new Command(go, ['run', 'block.go'], { cwd: folder, env })
      .done;
    expect(code, err).toBe(0);
    expectTold(text, out);
  },
);

/** What a page says is printed, is. */
function expectTold(text: string, out: string): void {
  const told = [...text.matchAll(/(?:\/\/|#) → (.*)$/gm)].map(([, line]) => line);
  if (told.length > 0) expect(out.trimEnd().split('\n')).toEqual(told);
}

test('[docs] the figures beside the others are those of the README', () => {
  const text = (page: string): string => readFileSync(join(root, page), 'utf8');
  const known = text('README.md');
  const rows = [...text('docs/comparison.md').matchAll(/^\| .* : .* \| \*\*.*\) \|$/gm)];
  expect(rows.length).toBeGreaterThan(15);
  for (const [row] of rows) expect(known).toContain(row);
});

test('[W9] the memory engine opens no file', async () => {
  const program = `
    import fs from 'node:fs';
    import { open } from ${JSON.stringify(join(root, 'packages/waymark/dist/bundle/index.js'))};
    const space = await open();
    const calls = [];
    for (const name of Object.keys(fs)) {
      if (typeof fs[name] === 'function' && /^(open|write|append|mkdir|create)/.test(name)) {
        const real = fs[name];
        fs[name] = (...args) => (calls.push(name), real(...args));
      }
    }
    const { syncBuiltinESMExports } = await import('node:module');
    syncBuiltinESMExports();
    const ns = space.namespace('n');
    await ns.put('/a', 1);
    const lock = await ns.lock('/a');
    await lock.release();
    await space.close();
    process.stdout.write(JSON.stringify(calls) + ' ' + fs.readdirSync('.').length);
  `;
  const empty = mkdtempSync(join(tmpdir(), 'waymark-empty-'));
  const { out, err } = await new Command(process.execPath, ['--input-type=module', '-e', program], {
    cwd: empty,
  }).done;
  rmSync(empty, { recursive: true });
  expect(out, err).toBe('[] 0');
});
