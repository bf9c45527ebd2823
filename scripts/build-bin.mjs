/**
 * Makes the command, with all it depends on, one file: `npm run build:bin [-- --script] [-- --out DIR]`, after `npm run build`.
 *
 * - `waymark.cjs`, run by Node.js, with LMDB's library `lmdb.node` beside it;
 * - unless `--script` is said, `waymark`: this Node.js with both of them inside, for machines like this one that have none.
 *
 * docs/decisions/0020-one-file.md has why.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { rolldown } from 'rolldown';
import { consoleFiles } from './console-files.mjs';

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: 'dist' },
    script: { type: 'boolean', default: false },
  },
});
const root = fileURLToPath(new URL('..', import.meta.url));
const server = join(root, 'packages/server');
const out = resolve(values.out);
/** What Node.js looks for in itself, to see whether it is to run what was put into it. */
const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

/** Runs within the bundle. A library can only be loaded from a file: the executable writes its own to one that is gone at once. */
const loader = `
const { mkdtempSync, rmSync, writeFileSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { dirname, join } = require('node:path');
const sea = require('node:sea');

module.exports = () => (sea.isSea() ? fromWithin() : load(join(__dirname, 'lmdb.node')));

function fromWithin() {
  let bytes;
  try {
    bytes = sea.getRawAsset('lmdb.node');
  } catch {
    throw new Error('this executable was built without it');
  }
  const folder = mkdtempSync(join(tmpdir(), 'waymark-'));
  try {
    const file = join(folder, 'lmdb.node');
    writeFileSync(file, new Uint8Array(bytes));
    return load(file);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function load(file) {
  const module = { exports: {} };
  process.dlopen(module, file);
  return module.exports;
}
`;

/** Accelerators and such that their users look for, and do without. */
const absent = new Set([
  'bufferutil',
  'utf-8-validate',
  'pg-native',
  'msgpackr-extract',
  'cardinal',
  '@node-rs/xxhash',
  '@opentelemetry/api',
]);

mkdirSync(out, { recursive: true });
const script = join(out, 'waymark.cjs');
const library = lmdbLibrary();
await bundle();
if (library !== null) copyFileSync(library, join(out, 'lmdb.node'));
else console.error('without LMDB: the package lmdb is not installed for this platform');
if (!values.script) await makeExecutable();

async function bundle() {
  const built = await rolldown({
    cwd: server,
    input: join(server, 'dist/cli/main.js'),
    platform: 'node',
    plugins: [selfContained(), consoleFiles()],
    checks: { eval: false },
  });
  const { output } = await built.write({
    file: script,
    format: 'cjs',
    // As the modules are that it is made of.
    strict: true,
    codeSplitting: false,
    dynamicImportInCjs: false,
  });
  await built.close();
  const left = output
    .flatMap(({ imports = [], dynamicImports = [] }) => [...imports, ...dynamicImports])
    .filter((name) => name !== 'waymark.cjs' && !isBuiltin(name));
  if (left.length > 0) throw new Error(`not inside, and not among \`absent\`: ${left.join(' ')}`);
  chmodSync(script, 0o755);
}

/** What looks for files of its own finds them in the bundle. */
function selfContained() {
  const manifest = readFileSync(join(server, 'package.json'), 'utf8');
  const { version } = JSON.parse(manifest);
  return {
    name: 'self-contained',
    transform(code) {
      const asked = /createRequire\(import\.meta\.url\)\('@waymark\/server\/package\.json'\)/;
      return asked.test(code) ? code.replace(asked, JSON.stringify({ version })) : null;
    },
    resolveId(id, importer) {
      if (absent.has(id)) return `\0absent:${id}`;
      // By this one packages find their library.
      if (id !== 'node-gyp-build-optional-packages') return null;
      if (!importer.includes('node_modules/lmdb/'))
        throw new Error(`${importer} has a library, too`);
      return '\0library';
    },
    load(id) {
      if (id.startsWith('\0absent:')) return `throw new Error('${id.slice(1)}')`;
      // Clients of other servers are all inside.
      if (id.endsWith('endpoints/kit/installed.js')) return 'export function checkInstalled() {}';
      return id === '\0library' ? loader : null;
    },
  };
}

/** @returns the one that this Node.js would load; null where there is none */
function lmdbLibrary() {
  const { resolve: find } = createRequire(join(server, 'package.json'));
  try {
    const folder = dirname(dirname(find('lmdb')));
    const choose = createRequire(join(folder, 'package.json'))('node-gyp-build-optional-packages');
    return choose.path(folder);
  } catch {
    return null;
  }
}

async function makeExecutable() {
  const executable = join(out, 'waymark');
  const blob = join(out, 'waymark.blob');
  const config = join(out, 'waymark.sea.json');
  const assets = library === null ? {} : { 'lmdb.node': library };
  writeFileSync(
    config,
    JSON.stringify({ main: script, output: blob, disableExperimentalSEAWarning: true, assets }),
  );
  execFileSync(process.execPath, ['--experimental-sea-config', config], { stdio: 'ignore' });
  copyFileSync(process.execPath, executable);
  const postject = fileURLToPath(import.meta.resolve('postject/dist/cli.js'));
  const segment = process.platform === 'darwin' ? ['--macho-segment-name', 'NODE_SEA'] : [];
  execFileSync(
    process.execPath,
    [postject, executable, 'NODE_SEA_BLOB', blob, '--sentinel-fuse', fuse, ...segment],
    // It warns of debug information that it does not know.
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  chmodSync(executable, 0o755);
  for (const file of [blob, config]) rmSync(file);
}
