import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { root } from './sources.js';

/** How many faults are known of each. */
const known = { whatnot: 16, stonecutters: 8, noah: 10, hedge: 11, spindle: 5, dstash: 9 };

const textsIn = (folder: string): string =>
  readdirSync(join(root, folder))
    .filter((name) => name !== 'defects.md' && /\.(md|ts)$/.test(name))
    .map((name) => readFileSync(join(root, folder, name), 'utf8'))
    .join('\n');

const table = readFileSync(join(root, 'docs/spec/defects.md'), 'utf8');
const rows = [...table.matchAll(/^\| (\w+ \d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$/gm)].map(
  ([, number = '', fault = '', rules = '', shown = '']) => ({ number, fault, rules, shown }),
);
const tests = textsIn('test/originals');
const tested = new Set([...tests.matchAll(/'\[(\w+ \d+)\] /g)].map(([, number = '']) => number));

test('[tidy] docs/spec/defects.md has every known fault once', () => {
  const all = Object.entries(known).flatMap(([system, count]) =>
    Array.from({ length: count }, (_, i) => `${system} ${i + 1}`),
  );
  expect(rows.map(({ number }) => number)).toEqual(all);
});

test('[tidy] each fault has a test of its number, or a reason for which it cannot occur', () => {
  for (const { number, shown } of rows) {
    if (shown === 'test') expect(tested, `no test in test/originals`).toContain(number);
    else expect(shown, number).toMatch(/^cannot occur: .{20}/);
  }
  const shownByTest = rows.filter(({ shown }) => shown === 'test').map(({ number }) => number);
  expect([...tested].sort(), 'tests, and their rows').toEqual(shownByTest.sort());
});

test('[tidy] each fault is kept out by rules that are there', () => {
  const specs = textsIn('docs/spec');
  for (const { number, rules, shown } of rows) {
    if (shown !== 'test') continue;
    for (const rule of rules.split(' ')) {
      expect(specs, `${number}: rule ${rule}`).toMatch(new RegExp(`^(- )?\\*\\*${rule}\\b`, 'm'));
    }
  }
});
