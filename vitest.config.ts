import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  resolve: {
    // In-process tests run on the sources, so that one class WaymarkError exists; processes that
    // tests start run the build.
    alias: [
      { find: /^waymark$/, replacement: source('packages/waymark/src/index.ts') },
      { find: /^waymark\/engine$/, replacement: source('packages/waymark/src/engine.ts') },
      { find: /^waymark\/wire$/, replacement: source('packages/waymark/src/wire/index.ts') },
      { find: /^waymark\/testing$/, replacement: source('packages/waymark/src/testing/index.ts') },
      { find: /^@waymark\/server$/, replacement: source('packages/server/src/index.ts') },
    ],
  },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'test/**/*.test.ts', 'examples/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
