import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { root } from '../tidy/sources.js';
import { succeed } from './strangers.js';

interface Step {
  readonly uses?: string;
  readonly run?: string;
}

interface Workflow {
  readonly permissions?: Readonly<Record<string, string>>;
  readonly jobs: Readonly<
    Record<
      string,
      {
        readonly permissions?: Readonly<Record<string, string>>;
        readonly strategy?: { readonly matrix: { readonly node: readonly number[] } };
        readonly steps: readonly Step[];
      }
    >
  >;
}

const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const folder = '.github/workflows';
const files = readdirSync(join(root, folder));
const workflow = (name: string) => parse(read(`${folder}/${name}`)) as Workflow;

test.each(files)('[package] %s: actions are pinned, rights are named, scripts exist', (name) => {
  const text = read(`${folder}/${name}`);
  for (const [, uses] of text.matchAll(/uses: (.+)$/gm))
    expect(uses).toMatch(/^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
  const { permissions, jobs } = workflow(name);
  expect(permissions).toBeDefined();
  expect(Object.values(permissions ?? {}).filter((right) => right !== 'read')).toEqual([]);
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const runs = Object.values(jobs).flatMap(({ steps }) => steps.map(({ run = '' }) => run));
  for (const [, script = ''] of runs.join('\n').matchAll(/npm run ([\w:-]+)/g))
    expect(Object.keys(scripts)).toContain(script);
});

test('[package] tests run on Node 20, 22 and 24; a release is signed by its workflow, and keeps no token', () => {
  expect(workflow('ci.yml').jobs['test']?.strategy?.matrix.node).toEqual([20, 22, 24]);
  const { publish } = workflow('release.yml').jobs;
  expect(publish?.permissions).toEqual({ contents: 'read', 'id-token': 'write' });
  const published = publish?.steps.filter(({ run }) => run?.startsWith('npm publish')) ?? [];
  expect(published).toHaveLength(2);
  for (const { run } of published) expect(run).toContain('--provenance');
  expect(read(`${folder}/release.yml`)).not.toMatch(/secrets\.|NODE_AUTH_TOKEN/);
});

test('[package] what a package stands on is told: what is installed with it, and what is bundled into it', async () => {
  await succeed(process.execPath, ['scripts/sbom.mjs'], root);
  const named = (file: string): string[] => {
    const bill = JSON.parse(read(file)) as {
      bomFormat: string;
      components: { name: string; purl: string; hashes?: unknown; licenses: unknown }[];
      dependencies: { ref: string; dependsOn?: string[] }[];
    };
    expect(bill.bomFormat).toBe('CycloneDX');
    const known = new Set(bill.components.map(({ purl }) => purl));
    for (const { dependsOn = [] } of bill.dependencies)
      expect(dependsOn.filter((ref) => !known.has(ref))).toEqual([]);
    for (const { name, hashes, licenses } of bill.components) {
      expect(licenses, name).toBeDefined();
      if (name !== 'waymark') expect(hashes, name).toBeDefined();
    }
    return bill.components.map(({ name }) => name);
  };
  expect(named('sbom/waymark.cdx.json')).toEqual([
    '@bufbuild/protobuf',
    'base64-js',
    'buffer',
    'croner',
    'ieee754',
    'ws',
  ]);
  const { dependencies } = JSON.parse(read('packages/server/package.json')) as {
    dependencies: Record<string, string>;
  };
  const server = named('sbom/waymark-server.cdx.json');
  expect(server).toEqual(
    expect.arrayContaining([...Object.keys(dependencies), 'lmdb', 'preact', 'typebox', 'uplot']),
  );
});
