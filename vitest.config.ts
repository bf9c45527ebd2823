import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/support/longest-first.js';

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url));

const testsOf = (part: string) => `test/${part}/**/*.test.ts`;
/** Tests that load both cores with processes of their own, or wait for them. */
const processes = [
  'cluster',
  'faults',
  'locks',
  'durability',
  'linearizability',
  'server',
  'cli',
  'messages',
  'delivery',
  'deploy',
].map(testsOf);
/** Tests that judge time: one file at a time, after all others. */
const timed = [
  ...['elections', 'overload', 'watches'].map(testsOf),
  'test/cli/{elect,lock-ends,once,semaphore}.test.ts',
  'test/cluster/namespaces.test.ts',
  'test/delivery/many.test.ts',
  'test/durability/snapshot.test.ts',
  'test/faults/{clock,etcd-silent,stash-zones}.test.ts',
  'test/locks/expiry.test.ts',
  'test/server/silent.test.ts',
];
/** What is in `test:long` alone: docs/reference/tested.md says why. */
const long = process.env['WAYMARK_LONG'] === '1' ? [] : ['test/overload/overload.test.ts'];
const built = ['**/node_modules/**', '**/dist/**', ...long];

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
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        extends: true,
        test: {
          name: 'fast',
          include: ['packages/*/src/**/*.test.ts', 'test/**/*.test.ts', 'examples/**/*.test.ts'],
          exclude: [...built, ...processes, ...timed],
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'processes',
          include: processes,
          exclude: [...built, ...timed],
          testTimeout: 600_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'timed',
          include: timed,
          exclude: built,
          maxWorkers: 1,
          testTimeout: 600_000,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
