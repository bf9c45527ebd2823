/**
 * Puts the modules of each package into a few files, as `npm run build` left them: finding and loading hundreds of small ones takes Node
 * longer than running what is in them. Parts that are loaded when they are first used stay files of their own. For browsers the library is
 * one file that needs nothing beside it. The console is built before, and is a part of the server.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { build } from 'vite';
import { consoleFiles } from './console-files.mjs';

const inRoot = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

const packages = {
  waymark: {
    input: {
      index: './index.js',
      engine: './engine.js',
      cluster: './cluster/index.js',
      etcd: './etcd.js',
      receiver: './receiver/index.js',
      wire: './wire/index.js',
      stash: './stash/index.js',
      testing: './testing/index.js',
    },
    // The codec of etcd's messages is small, and who uses no etcd never loads it; the calendar of schedules is one file.
    external: /^(?!@bufbuild|croner$)[a-z@]/,
  },
  server: {
    input: { index: './index.js', main: './cli/main.js', testing: './testing/index.js' },
    // typebox is three hundred files.
    external: /^(?!typebox)[a-z@]/,
  },
};

const page = await build({ root: inRoot('packages/console/'), logLevel: 'warn' });

for (const [name, { input, external }] of Object.entries(packages)) {
  const cwd = inRoot(`packages/${name}/dist/`);
  const plugins = [consoleFiles()];
  const bundle = await rolldown({ cwd, input, external, plugins, platform: 'node' });
  await rm(`${cwd}bundle`, { recursive: true, force: true });
  const written = await bundle.write({
    dir: `${cwd}bundle`,
    format: 'esm',
    chunkFileNames: '[name]-part.js',
  });
  await bundle.close();
  const beside = name === 'waymark' ? await bundleForBrowsers(cwd) : [page].flat()[0].output;
  tellLicences(`${cwd}bundle`, [...written.output, ...beside]);
}

/** Modules that use Node, and what stands in their place in a page. */
function standIns(cwd) {
  return new Map(
    Object.entries({
      'open.js': 'browser/open.js',
      'core/system-clock.js': 'browser/system-clock.js',
      'engines/remote/transport.js': 'browser/transport.js',
      'space/listener.js': 'browser/platform.js',
    }).map(([from, to]) => [join(cwd, from), join(cwd, to)]),
  );
}

async function bundleForBrowsers(cwd) {
  const replaced = standIns(cwd);
  const platform = join(cwd, 'browser/platform.js');
  const buffer = inRoot('node_modules/buffer/index.js');
  const bundle = await rolldown({
    cwd,
    input: { browser: './index.js' },
    platform: 'browser',
    resolve: { alias: { 'node:events': platform } },
    // What is not loaded before it is needed in Node is there at once: a page would wait for each file.
    transform: {
      inject: { Buffer: [buffer, 'Buffer'], 'process.nextTick': [platform, 'nextTick'] },
    },
    plugins: [
      {
        name: 'stand-ins',
        async resolveId(source, importer) {
          const found = await this.resolve(source, importer, { skipSelf: true });
          return replaced.get(found?.id) ?? found;
        },
      },
    ],
  });
  const { output } = await bundle.write({
    file: `${cwd}bundle/browser.js`,
    format: 'esm',
    codeSplitting: false,
    minify: true,
  });
  await bundle.close();
  return output;
}

/** Beside the bundle stands under which terms others let their parts of it be used. */
function tellLicences(directory, output) {
  const folders = new Set(
    output
      .flatMap((chunk) => chunk.moduleIds ?? [])
      .map((id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0])
      .filter((folder) => folder !== undefined),
  );
  const notices = [...folders].sort().map(noticeOf);
  writeFileSync(`${directory}/THIRD-PARTY.txt`, notices.join(`\n${'-'.repeat(80)}\n\n`));
}

function noticeOf(folder) {
  const { name, version, license } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'));
  const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
  const text = file === undefined ? '' : readFileSync(join(folder, file), 'utf8').trim();
  return `${name} ${version} (${license})\n\n${text}\n`;
}
