import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));
export const inRoot = (path) => join(root, path);

/** Where the site is built. */
export const siteFolder = inRoot('docs/site');

/** Pages beside those below docs/. */
const others = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md'];

/** @returns path from the repository's root, and text, of all pages that people wrote */
export function writtenPages() {
  const below = readdirSync(inRoot('docs'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.md'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter((path) => !path.startsWith('docs/site/'));
  return [...others, ...below.sort()].map((path) => ({
    path,
    text: readFileSync(inRoot(path), 'utf8'),
  }));
}

/** @returns 'file', 'folder', or null */
export function kindOf(path) {
  const found = statSync(inRoot(path), { throwIfNoEntry: false });
  if (found === undefined) return null;
  return found.isDirectory() ? 'folder' : 'file';
}

/** What of a folder is shown: its files and those below. */
export function listed(path) {
  return readdirSync(inRoot(path), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter((name) => !/\/(node_modules|dist|site)\//.test(name))
    .sort();
}
