import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Tests whose processes mostly wait for each other: two files at a time, and nothing beside them. */
const waiting = ['test/cluster/**/*.test.ts'];
/** Tests that measure time, or load both cores with processes of their own: one file at a time, after the others. */
const faults = [
  'faults',
  'locks',
  'durability',
  'linearizability',
  'watches',
  'server',
  'cli',
  'elections',
  'messages',
  'delivery',
  'deploy',
].map((part) => `test/${part}/**/*.test.ts`);

export default defineConfig({
  resolve: {
    // In-process tests run on the sources, so that one class WaymarkError exists; processes that
    // tests start run the build.
    alias: [
      { find: /^waymark$/, replacement: source('packages/waymark/src/index.ts') },
      { find: /^waymark\/engine$/, replacement: source('packages/waymark/src/engine.ts') },
      { find: /^waymark\/cluster$/, replacement: source('packages/waymark/src/cluster/index.ts') },
      { find: /^waymark\/etcd$/, replacement: source('packages/waymark/src/etcd.ts') },
      {
        find: /^waymark\/receiver$/,
        replacement: source('packages/waymark/src/receiver/index.ts'),
      },
      { find: /^waymark\/wire$/, replacement: source('packages/waymark/src/wire/index.ts') },
      { find: /^waymark\/stash$/, replacement: source('packages/waymark/src/stash/index.ts') },
      { find: /^waymark\/testing$/, replacement: source('packages/waymark/src/testing/index.ts') },
      {
        find: /^@waymark\/server\/testing$/,
        replacement: source('packages/server/src/testing/index.ts'),
      },
      { find: /^@waymark\/server$/, replacement: source('packages/server/src/index.ts') },
    ],
  },
  test: {
    reporters: ['default', './test/support/reporter.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: {
          name: 'fast',
          include: ['packages/*/src/**/*.test.ts', 'test/**/*.test.ts', 'examples/**/*.test.ts'],
          exclude: ['**/node_modules/**', '**/dist/**', ...faults, ...waiting],
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'waiting',
          include: waiting,
          testTimeout: 600_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'faults',
          include: faults,
          exclude: ['**/node_modules/**', '**/dist/**'],
          maxWorkers: 1,
          testTimeout: 600_000,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
