import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { rolldown } from 'rolldown';
import { service } from '#services';
import { Command } from '../support/command.js';
import { root } from '../tidy/sources.js';
import {
  emptyFolder,
  install,
  installed,
  pack,
  readmeProgram,
  succeed,
  type Tarball,
} from './strangers.js';

const folder = emptyFolder('packed');
const library = join(folder, 'library');
const both = join(folder, 'both');
let tarballs: Readonly<Record<'waymark' | 'server', Tarball>>;

beforeAll(async () => {
  tarballs = {
    waymark: await pack('packages/waymark', folder),
    server: await pack('packages/server', folder),
  };
  await install(library, [tarballs.waymark.path]);
  await install(both, [tarballs.waymark.path, tarballs.server.path]);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const nodes: readonly (readonly [string, () => string])[] = [
  ['this Node', () => process.execPath],
  ['Node 22', () => service('node-22').path],
  ['Node 24', () => service('node-24').path],
];

/** In thousands of bytes: what is there, and room for a release or two. A budget that is met with much to spare is lowered. */
const budgets = { waymark: 3_000, server: 2_300, browser: 320 } as const;

test.each(['waymark', 'server'] as const)('[package] %s is within its size', (name) => {
  expect(tarballs[name].unpackedBytes / 1_000).toBeLessThan(budgets[name]);
  expect(tarballs[name].unpackedBytes / 1_000).toBeGreaterThan(budgets[name] * 0.6);
});

test.each(['waymark', 'server'] as const)(
  '[package] %s brings its terms and a page, no tests and no scripts',
  (name) => {
    const { files } = tarballs[name];
    for (const wanted of ['package.json', 'LICENSE', 'README.md', 'dist/bundle/THIRD-PARTY.txt'])
      expect(files).toContain(wanted);
    expect(files.filter((path) => /\.test\.|\.map$|(^|\/)test\//.test(path))).toEqual([]);
    const read = (path: string) => readFileSync(join(root, path), 'utf8');
    expect(JSON.parse(read(`packages/${name}/package.json`))).not.toHaveProperty('scripts');
    expect(read(`packages/${name}/LICENSE`)).toBe(read('LICENSE'));
  },
);

test('[package] the library brings at most one dependency, and it is ws', () => {
  expect(installed(library)).toEqual(['waymark', 'ws']);
});

test.each([
  ['nodenext', 'nodenext'],
  ['esnext', 'bundler'],
])('[package] types hold under --module %s --moduleResolution %s', async (module, resolution) => {
  const file = join(library, `consumer-${resolution}.ts`);
  const program = `
    import { open, WaymarkError, type Lock, type Space } from 'waymark';
    import { open as openInPage } from 'waymark/browser';
    const space: Space = await open();
    const lock: Lock = await space.namespace('n').lock('/a', { ttlMs: 5_000 });
    const token: number = lock.token;
    // @ts-expect-error: a token is a number, so types were found
    const wrong: string = lock.token;
    export const same: typeof open = openInPage;
    export const isLost = (error: unknown) => error instanceof WaymarkError && error.code === 'lost';
    export { token, wrong };
  `;
  writeFileSync(file, program);
  const tsc = join(root, 'node_modules/.bin/tsc');
  // Without Node's types, and with every declaration of the package looked at.
  const lib = ['--target', 'es2022', '--lib', 'es2023,dom,esnext.disposable', '--types', ''];
  const options = ['--noEmit', '--strict', '--module', module, '--moduleResolution', resolution];
  await succeed(tsc, [...options, ...lib, file], library);
});

test.each(nodes)("[package] the README's program runs as it stands on %s", async (_, node) => {
  const file = join(library, 'readme.mjs');
  writeFileSync(file, readmeProgram());
  const { err } = await succeed(node(), [file], library);
  expect(err).toBe('');
});

test.each(nodes)('[package] the server serves, and the command asks it, on %s', async (_, node) => {
  const main = join(both, 'node_modules/@waymark/server/bin/waymark.js');
  const argv = [main, '--json', 'serve', '--listen', '127.0.0.1:0', '--engine', 'memory'];
  const server = new Command(node(), argv, { cwd: both });
  try {
    const { addresses } = JSON.parse(await server.says('\n')) as { addresses: [string] };
    const ask = (...args: string[]) =>
      succeed(
        node(),
        [main, '--server', `http://${addresses[0].replace(/^http:\/\//, '')}`, ...args],
        both,
      );
    await ask('put', '/orders/42', 'queued');
    expect((await ask('get', '/orders/42')).out.trim()).toBe('queued');
    await ask('lock', '/orders/42', '--', process.execPath, '-e', '0');
  } finally {
    expect((await server.stop()).code).toBe(0);
  }
});

test.each([
  ['etcd://127.0.0.1:1', 'npm install @grpc/grpc-js'],
  ['postgres://127.0.0.1:1/none', 'npm install pg'],
])('[package] %s without its package says: %s', async (url, sentence) => {
  const program = `
    import { open } from 'waymark';
    await open(${JSON.stringify(url)}).catch(({ code, message }) => console.log(code, message));
  `;
  const { out } = await succeed(process.execPath, ['--input-type=module', '-e', program], library);
  expect(out).toMatch(/^invalid /);
  expect(out).toContain(sentence);
});

test('[package] a stash without its package says: npm install lmdb', async () => {
  expect(installed(both)).not.toContain('lmdb');
  const main = join(both, 'node_modules/@waymark/server/bin/waymark.js');
  const argv = [main, 'serve', '--listen', '127.0.0.1:0', '--stash', join(folder, 'stash')];
  const { code, err } = await new Command(process.execPath, argv, { cwd: both }).done;
  expect(code).not.toBe(0);
  expect(err).toContain('npm install lmdb');
});

test('[package] a bundler for browsers takes the build that needs nothing of Node', async () => {
  const file = join(library, 'page.js');
  writeFileSync(file, `import { open } from 'waymark';\nglobalThis.open = open;\n`);
  const bundle = await rolldown({ cwd: library, input: file, platform: 'browser' });
  const { output } = await bundle.generate({ format: 'esm', codeSplitting: false });
  await bundle.close();
  const [page] = output;
  expect(page.imports).toEqual([]);
  expect(page.dynamicImports).toEqual([]);
  expect(page.code).not.toMatch(/['"]node:/);
  const alone = readFileSync(join(library, 'node_modules/waymark/dist/bundle/browser.js'));
  expect(alone.length / 1_000).toBeLessThan(budgets.browser);
});
