import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { filesIn, root } from './sources.js';

const script = readFileSync(join(root, 'scripts/test-long.mjs'), 'utf8');
/** Each part of `npm run test:long` with its files and folders. */
const parts = [...script.matchAll(/^ {2}'?([\w-]+)'?: \[([^\]]+)\],$/gm)].map(
  ([, name, files]) => ({
    name,
    paths: [...(files ?? '').matchAll(/'([^']+)'/g)].map(([, path]) => path as string),
  }),
);

test('[tidy] every test with a long form is in a part of test:long', () => {
  const named = parts.flatMap(({ paths }) => paths);
  const sized = filesIn('test', '.test.ts').filter(({ text }) => /\bsized\(/.test(text));
  expect(sized.length).toBeGreaterThan(20);
  const left = sized
    .map(({ path }) => path)
    .filter((path) => !named.some((of) => path === of || path.startsWith(`${of}/`)));
  expect(left, 'name them in scripts/test-long.mjs').toEqual([]);
});

test('[tidy] docs/reference/tested.md tells of every part of test:long, and of no other', () => {
  const page = readFileSync(join(root, 'docs/reference/tested.md'), 'utf8');
  const told = [...page.matchAll(/`test:long -- ([\w-]+)`/g)].map(([, name]) => name);
  expect([...new Set(told)].sort()).toEqual(parts.map(({ name }) => name).sort());
});
