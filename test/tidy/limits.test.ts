import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { limits, wideLimits } from 'waymark/engine';
import { defaultAdmission, defaultSocketLimits } from 'waymark/wire';
import { serverLimits } from '../../packages/server/src/server-options.js';
import { root } from './sources.js';

const text = readFileSync(join(root, 'docs/reference/limits.md'), 'utf8');

/** Of one part of the page: each limit with its value. */
function documented(part: string): Record<string, number> {
  const [, body = ''] = text.split(`\n## ${part}\n`);
  const [rows = ''] = body.split('\n## ');
  const found = [...rows.matchAll(/^\| `([\w.]+)` \| ([\d ]+) \|/gm)];
  return Object.fromEntries(
    found.map(([, name, value = '']) => [name, Number(value.replaceAll(' ', ''))]),
  );
}

test('[tidy] docs/reference/limits.md and the code say the same, limit by limit', () => {
  expect(documented('Of what is written')).toEqual(limits);
  const { heartbeatMs, ...asked } = serverLimits;
  expect(heartbeatMs).toBeLessThan(defaultSocketLimits.idleMsMax);
  expect(documented('Connections')).toEqual({ ...asked, ...defaultSocketLimits });
  expect(documented('Work under way')).toEqual(defaultAdmission);
});

test('[tidy] the wider limits of etcd’s API stand there too', () => {
  const [, line = ''] = /^etcd's API takes (.*)$/m.exec(text) ?? [];
  const told = [...line.matchAll(/\d+(?: \d{3})*/g)].map(([n]) => Number(n.replaceAll(' ', '')));
  expect(told).toEqual(expect.arrayContaining(Object.values(wideLimits)));
});

test('[tidy] every flag and every place of the page that it names is there', () => {
  const flags = readFileSync(join(root, 'packages/server/src/cli/limit-flags.ts'), 'utf8');
  const named = [...text.matchAll(/`--([a-z-]+)`/g)].map(([, flag]) => flag as string);
  for (const flag of named) expect(flags, flag).toContain(`'--${flag} <n>'`);
  const offered = [...flags.matchAll(/'--([a-z-]+) <n>'/g)].map(([, flag]) => flag as string);
  expect(offered.filter((flag) => !named.includes(flag))).toEqual([]);
});
