import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { exportedNames } from '../../scripts/docs/api.mjs';
import { type Built, buildSite, writeSite } from '../../scripts/docs/site.mjs';
import { Command, waymark } from '../support/command.js';

const folder = mkdtempSync(join(tmpdir(), 'waymark-site-'));
let built: Built;

beforeAll(async () => {
  built = await buildSite(join(folder, 'site'));
});

afterAll(() => rmSync(folder, { recursive: true }));

const page = (path: string): string => readFileSync(join(folder, 'site', path), 'utf8');

test('[docs] every link of the site leads somewhere', () => {
  expect(built.dead).toEqual([]);
  expect(built.pages).toBeGreaterThan(100);
  expect(
    existsSync(join(folder, 'site/bench.svg')) || existsSync(join(folder, 'site/docs/bench.svg')),
  ).toBe(true);
});

test('[docs] a link to no page, no file or no heading is found, and markup in a page is text', () => {
  const text =
    '# One <b>\n\n[a](two.md) [b](#one-b) [c](#three) [d](../package.json) [e](../no.ts) [f](https://example.com/)';
  const { dead, pages } = writeSite([{ path: 'docs/one.md', text }], join(folder, 'small'));
  expect(dead).toEqual(['docs/one.md: two.md', 'docs/one.md: #three', 'docs/one.md: ../no.ts']);
  expect(pages).toBe(1);
  const html = readFileSync(join(folder, 'small/one.html'), 'utf8');
  expect(html).toContain('One &lt;b&gt;</h1>');
  expect(html).not.toContain('<b>');
});

test('[docs] the reference has every name that is exported, with its shape', () => {
  for (const { name, names } of exportedNames()) {
    const html = page(`reference/api/${name.replace('@', '').replaceAll('/', '-')}.html`);
    const missing = names.filter((one) => !html.includes(`>${one}</h3>`));
    expect(missing, name).toEqual([]);
  }
  const library = exportedNames().find(({ name }) => name === 'waymark')?.names;
  expect(library).toEqual(expect.arrayContaining(['open', 'WaymarkError', 'Lock', 'codecs.json']));
});

test('[docs] the reference has every command, operation, limit and metric', async () => {
  const { out } = await new Command(process.execPath, [waymark, '--help']).done;
  const listed = [...out.slice(out.indexOf('Commands:')).matchAll(/^ {2}(\w+)/gm)].map(
    ([, name]) => name,
  );
  const commands = page('reference/api/commands.html');
  for (const name of listed.filter((one) => one !== 'help' && one !== 'waymark'))
    expect(commands).toContain(`>waymark ${name}</h2>`);
  expect(commands).toContain('>waymark watcher add</h2>');
  const rest = page('reference/api/rest.html');
  expect(rest).toContain('>PUT /v1/ns/{ns}/keys/{path}</h2>');
  expect(page('reference/api/limits.html')).toContain('<code>valueBytesMax</code>');
  expect(page('reference/api/metrics.html')).toContain(
    '<code>process_resident_memory_bytes</code>',
  );
});
