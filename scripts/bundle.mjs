/**
 * Puts the modules of each package into a few files, as `npm run build` left them: finding and loading hundreds of small ones takes Node
 * longer than running what is in them. Parts that are loaded when they are first used stay files of their own. The console is built before,
 * and is a part of the server.
 */
import { rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { build } from 'vite';
import { consoleFiles } from './console-files.mjs';

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
    // The codec of etcd's messages is small, and who uses no etcd never loads it.
    external: /^(?!@bufbuild)[a-z@]/,
  },
  server: {
    input: { index: './index.js', main: './cli/main.js', testing: './testing/index.js' },
    // typebox is three hundred files.
    external: /^(?!typebox)[a-z@]/,
  },
};

await build({
  root: fileURLToPath(new URL('../packages/console/', import.meta.url)),
  logLevel: 'warn',
});

for (const [name, { input, external }] of Object.entries(packages)) {
  const cwd = fileURLToPath(new URL(`../packages/${name}/dist/`, import.meta.url));
  const plugins = [consoleFiles()];
  const bundle = await rolldown({ cwd, input, external, plugins, platform: 'node' });
  await rm(`${cwd}bundle`, { recursive: true, force: true });
  await bundle.write({ dir: `${cwd}bundle`, format: 'esm', chunkFileNames: '[name]-part.js' });
  await bundle.close();
}
