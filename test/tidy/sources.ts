import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Source {
  /** From the repository's root, with slashes. */
  readonly path: string;
  readonly text: string;
}

/** Sources of the packages, without tests. */
export function packageSources(): Source[] {
  return ['packages/waymark/src', 'packages/server/src'].flatMap((folder) => sourcesIn(folder));
}

export function sourcesIn(folder: string, suffix = '.ts'): Source[] {
  return filesIn(folder, suffix).filter(({ path }) => !path.endsWith('.test.ts'));
}

/** Tests too. */
export function filesIn(folder: string, suffix: string): Source[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(suffix))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !path.includes('node_modules') && !path.includes('/dist/'))
    .map((path) => ({ path: relative(root, path), text: readFileSync(path, 'utf8') }));
}
