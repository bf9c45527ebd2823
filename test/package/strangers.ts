import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { Command } from '../support/command.js';
import { root } from '../tidy/sources.js';

/** The packages as strangers get them: packed, and installed from the tarball into an empty project. */

export interface Tarball {
  readonly path: string;
  readonly unpackedBytes: number;
  /** From the package's root. */
  readonly files: readonly string[];
}

interface PackReport {
  readonly filename: string;
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string }[];
}

export function emptyFolder(name: string): string {
  return mkdtempSync(join(tmpdir(), `waymark-${name}-`));
}

export async function pack(folder: string, into: string): Promise<Tarball> {
  const flags = ['pack', '--json', '--ignore-scripts', '--pack-destination', into];
  const { out } = await succeed('npm', flags, join(root, folder));
  // By the version of npm an array, or an object by the package's name.
  const [report] = Object.values(JSON.parse(out) as Record<string, PackReport>);
  if (report === undefined) throw new Error(`npm pack told nothing of ${folder}: ${out}`);
  return {
    path: join(into, report.filename),
    unpackedBytes: report.unpackedSize,
    files: report.files.map(({ path }) => path),
  };
}

export async function install(folder: string, packages: readonly string[]): Promise<void> {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }');
  const flags = ['--no-audit', '--no-fund', '--prefer-offline', '--omit=optional'];
  await succeed('npm', ['install', ...flags, ...packages], folder);
}

/** Names of what lies in a project's node_modules. */
export function installed(folder: string): string[] {
  const modules = join(folder, 'node_modules');
  return readdirSync(modules)
    .filter((name) => !name.startsWith('.'))
    .flatMap((name) =>
      name.startsWith('@')
        ? readdirSync(join(modules, name)).map((inner) => `${name}/${inner}`)
        : [name],
    );
}

/** The README's program, as it stands there. */
export function readmeProgram(): string {
  const text = readFileSync(join(root, 'README.md'), 'utf8');
  const program = /^```ts\n([\s\S]*?)^```$/m.exec(text)?.[1];
  if (program === undefined) throw new Error('the README shows no program');
  return program;
}

export async function succeed(
  file: string,
  args: readonly string[],
  cwd: string,
): Promise<{ readonly out: string; readonly err: string }> {
  const { code, out, err } = await new Command(file, args, { cwd }).done;
  expect(code, `${file} ${args.join(' ')}\n${out}\n${err}`).toBe(0);
  return { out, err };
}
