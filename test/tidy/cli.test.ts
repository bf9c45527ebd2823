import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Command, waymark } from '../support/command.js';
import { root } from './sources.js';

test('[tidy] docs/reference/cli.md names every command, and no other', async () => {
  const text = readFileSync(join(root, 'docs/reference/cli.md'), 'utf8');
  const documented = [...text.matchAll(/^\| `waymark (\w+)/gm)].map(([, name]) => name);
  const { out } = await new Command(process.execPath, [waymark, '--help']).done;
  const listed = [...out.slice(out.indexOf('Commands:')).matchAll(/^ {2}(\w+)/gm)].map(
    ([, name]) => name,
  );
  const commands = listed.filter((name) => name !== 'help' && name !== 'waymark');
  expect(documented.sort()).toEqual(commands.sort());
});
