import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';

const here = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
let folder: string;

/** The library as npm puts it where none of its optional packages is. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'waymark-alone-'));
  const library = join(folder, 'node_modules/waymark');
  await mkdir(library, { recursive: true });
  await cp(here('packages/waymark/package.json'), join(library, 'package.json'));
  await cp(here('packages/waymark/dist/bundle'), join(library, 'dist/bundle'), { recursive: true });
  for (const name of ['ws', 'croner']) {
    await symlink(here(`node_modules/${name}`), join(folder, 'node_modules', name));
  }
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function opening(url: string): Promise<unknown> {
  const program = `
    import { isWaymarkError, open } from 'waymark';
    const told = await open('${url}').then(
      () => 'opened',
      (error) => [isWaymarkError(error), error.code, error.message, error.cause?.code],
    );
    console.log(JSON.stringify(told));
    process.exit();
  `;
  const args = ['--input-type=module', '-e', program];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: folder });
  return JSON.parse(stdout);
}

test.each([
  ['postgres://127.0.0.1:1/db', 'postgres://', 'pg'],
  ['etcd://127.0.0.1:1', 'etcd://', '@grpc/grpc-js'],
  ['cluster:./member?init', 'cluster:', '@grpc/grpc-js'],
])('[W9] %s without its package names what to install', async (url, scheme, name) => {
  const told = await opening(url);
  const message = `${scheme} needs the package ${name}: npm install ${name}`;
  expect(told).toEqual([true, 'invalid', message, 'ERR_MODULE_NOT_FOUND']);
});

test('[W9] what needs no package opens without any', async () => {
  expect(await opening('memory:')).toBe('opened');
  expect(await opening(`file:${join(folder, 'data')}`)).toBe('opened');
});
