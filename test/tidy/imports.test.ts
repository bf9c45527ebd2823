import { posix } from 'node:path';
import { expect, test } from 'vitest';
import { packageSources, type Source } from './sources.js';

/** Layers of the library from the bottom up: each may import what is listed, and itself. */
const arrows: Readonly<Record<string, readonly string[]>> = {
  core: [],
  wire: ['core'],
  receiver: ['core'],
  stash: ['core', 'wire'],
  'engines/kit': ['core'],
  'engines/memory': ['core', 'engines/kit'],
  'engines/file': ['core', 'engines/kit'],
  'engines/remote': ['core', 'engines/kit', 'wire'],
  'engines/etcd': ['core', 'engines/kit'],
  'engines/postgres': ['core', 'engines/kit'],
  wrap: ['core', 'engines/kit'],
  'space/base': ['core'],
  recipes: ['core', 'space/base'],
  space: ['core', 'wire', 'wrap', 'engines/remote', 'space/base', 'recipes', 'stash'],
  testing: [
    'core',
    'engines/kit',
    'engines/memory',
    'engines/file',
    'engines/remote',
    'wrap',
    'space',
    'space/base',
    'index',
  ],
  cluster: ['core', 'space/base', 'engines/kit', 'engines/etcd'],
  // Stands in the place of modules that use Node, when the library is bundled for pages.
  browser: ['core', 'engines/remote', 'space', 'space/base', 'index'],
  index: [
    'core',
    'cluster',
    'wire',
    'wrap',
    'engines/kit',
    'engines/memory',
    'engines/file',
    'engines/remote',
    'engines/etcd',
    'engines/postgres',
    'space',
    'space/base',
    'recipes',
  ],
};

/** What recipes stand on in space/: paths, layout and types, but no host and no space. */
const base = new Set([
  'paths',
  'layout',
  'types',
  'codecs',
  'election-types',
  'message-types',
  'stream-types',
  'member-types',
  'once-types',
  'semaphore-types',
  'log-types',
  'counter-types',
  'barrier-types',
  'mountains',
  'name-lists',
  'names-layout',
  'names-types',
  'stash-types',
  'structured',
  'structured-reader',
]);

function layerOf(path: string): string {
  const inside = path.replace('packages/waymark/src/', '');
  const [first = '', second = ''] = inside.split('/');
  if (!inside.includes('/')) return 'index';
  if (first === 'space') return base.has(second.replace('.ts', '')) ? 'space/base' : 'space';
  return first === 'engines' ? `engines/${second}` : first;
}

function importsOf(source: Source): string[] {
  return [...source.text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(
    (match) => match[1] ?? '',
  );
}

test('[tidy] imports point one way', () => {
  const wrong: string[] = [];
  for (const source of packageSources()) {
    if (!source.path.startsWith('packages/waymark/')) continue;
    const layer = layerOf(source.path);
    for (const specifier of importsOf(source)) {
      if (!specifier.startsWith('.')) continue;
      const target = posix.join(posix.dirname(source.path), specifier).replace(/\.js$/, '.ts');
      const other = layerOf(target);
      if (other !== layer && !(arrows[layer] ?? []).includes(other))
        wrong.push(`${source.path} → ${other}`);
    }
  }
  expect(
    wrong,
    'a new arrow: move the code, or change the table in this test with a decision',
  ).toEqual([]);
});

/** What comes with a module at once: its imports, not those it makes when it needs them. */
function loadedBy(path: string, sources: ReadonlyMap<string, Source>, seen = new Set<string>()) {
  const source = sources.get(path);
  if (source === undefined || seen.has(path)) return seen;
  seen.add(path);
  for (const statement of source.text.matchAll(/^(?:import|export)\b[^;]*?from '([^']+)';/gm)) {
    const [text, specifier = ''] = statement;
    if (/^(import|export) type\b/.test(text)) continue;
    if (!specifier.startsWith('.')) seen.add(specifier);
    else
      loadedBy(posix.join(posix.dirname(path), specifier).replace(/\.js$/, '.ts'), sources, seen);
  }
  return seen;
}

test('[tidy] the library begins without the network: servers, members that listen and who speaks to them are loaded when they are needed', () => {
  const sources = new Map(packageSources().map((source) => [source.path, source]));
  const loaded = [...loadedBy('packages/waymark/src/index.ts', sources)];
  expect(loaded).toContain('packages/waymark/src/space/courier.ts');
  const late = /^(node:)?(net|tls|http|ws)$|\/wire\/|\/engines\/(remote|file)\/|listener\.ts$/;
  expect(loaded.filter((path) => late.test(path))).toEqual([]);
});

test('[tidy] the server reaches the library through its public entries alone', () => {
  const allowed = new Set([
    'waymark',
    'waymark/engine',
    'waymark/cluster',
    'waymark/etcd',
    'waymark/wire',
    'waymark/stash',
  ]);
  const wrong = packageSources()
    .filter((source) => source.path.startsWith('packages/server/'))
    .flatMap((source) => importsOf(source).map((specifier) => ({ source, specifier })))
    .filter(
      ({ specifier }) =>
        specifier.includes('waymark') && !specifier.startsWith('.') && !allowed.has(specifier),
    );
  expect(wrong.map(({ source, specifier }) => `${source.path}: ${specifier}`)).toEqual([]);
});
