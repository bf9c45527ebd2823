/**
 * Puts the modules of the library into a few files, as `npm run build` left them: loading a hundred small ones takes Node three times as
 * long as running what is in them. Parts that are loaded when they are first used stay files of their own.
 */
import { rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const dist = fileURLToPath(new URL('../packages/waymark/dist/', import.meta.url));

const bundle = await rolldown({
  cwd: dist,
  input: {
    index: './index.js',
    engine: './engine.js',
    wire: './wire/index.js',
    testing: './testing/index.js',
  },
  platform: 'node',
  external: /^[a-z@]/,
});
await rm(`${dist}bundle`, { recursive: true, force: true });
await bundle.write({ dir: `${dist}bundle`, format: 'esm', chunkFileNames: '[name].js' });
await bundle.close();
