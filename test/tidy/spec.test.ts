import { expect, test } from 'vitest';
import { filesIn } from './sources.js';

/** `- **K8** …`, and `- **W2.1** …`. */
const rule = /^- \*\*([A-Z]+\d+(?:\.\d+)?)\*\*/gm;

test('[tidy] every rule of docs/spec has a number of its own', () => {
  // The page of the keyspace says of each engine how it keeps a rule, by the same number.
  const pages = filesIn('docs/spec', '.md').filter(({ path }) => !path.endsWith('keyspace.md'));
  const numbers = pages.flatMap(({ text }) =>
    [...text.matchAll(rule)].map(([, number]) => number as string),
  );
  expect(numbers.length).toBeGreaterThan(150);
  expect(numbers.filter((number, at) => numbers.indexOf(number) < at)).toEqual([]);
});
