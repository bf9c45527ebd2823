import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { errorCodes, errorTable } from 'waymark/engine';
import { root } from './sources.js';

test('[tidy] docs/reference/errors.md and the error table say the same, code by code', () => {
  const text = readFileSync(join(root, 'docs/reference/errors.md'), 'utf8');
  const rows = [...text.matchAll(/^\| `(\w+)` \| (\d+) \| (\d+) \| (\d+) \|/gm)];
  const documented = Object.fromEntries(
    rows.map(([, code, http, grpc, exit]) => [
      code,
      { http: Number(http), grpc: Number(grpc), exit: Number(exit) },
    ]),
  );
  expect(documented).toEqual(errorTable);
  expect(Object.keys(errorTable).sort()).toEqual([...errorCodes].sort());
  for (const code of errorCodes)
    expect(text, `a section on ${code}`).toContain(`\n**\`${code}\`**`);
});

test('[tidy] no two codes share an exit code', () => {
  const exits = Object.values(errorTable).map(({ exit }) => exit);
  expect(new Set(exits).size).toBe(exits.length);
});
