import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/support/longest-first.js';

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url));

const testsOf = (part: string) => `test/${part}/**/*.test.ts`;
/** Many files, most of them small, of which none leaves anything for the next: they share their processes, which load the sources once. */
const shared = [
  'packages/*/src/**/*.test.ts',
  ...['access', 'etcd', 'limits', 'originals', 'recipes', 'stash', 'watchers'].map(testsOf),
];
/** Tests that start processes of their own, and wait for them. */
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
const soak = ['test/overload/soak.test.ts'];
/** Tests that judge, to a second or so, what comes after a wait: two files at a time, with nothing beside them that computes. */
const paced = [
  testsOf('elections'),
  'test/cli/{elect,lock-ends,once,semaphore}.test.ts',
  'test/cluster/namespaces.test.ts',
  'test/faults/{clock,etcd-silent}.test.ts',
  'test/locks/expiry.test.ts',
  'test/server/silent.test.ts',
];
/** Tests that judge how much or how fast: one file at a time, after all others. */
const timed = [
  'test/overload/!(soak).test.ts',
  testsOf('watches'),
  'test/delivery/many.test.ts',
  'test/durability/snapshot.test.ts',
];
/** What is in `test:long` alone: docs/reference/tested.md says why. */
const long = process.env['WAYMARK_LONG'] === '1' ? [] : ['test/overload/overload.test.ts'];
/** Three files at a time on two cores, since many wait: while some do, others compute. */
const together = { maxWorkers: 3, sequence: { groupOrder: 0 } };
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
    // What hangs ends some time; how long a test takes on a machine with much else to do is no rule of ours.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        extends: true,
        test: {
          name: 'shared',
          include: shared,
          exclude: built,
          isolate: false,
          ...together,
        },
      },
      {
        extends: true,
        test: {
          name: 'fast',
          include: ['test/**/*.test.ts', 'examples/**/*.test.ts'],
          exclude: [...built, ...shared, ...processes, ...soak, ...paced, ...timed],
          ...together,
        },
      },
      {
        extends: true,
        test: {
          name: 'processes',
          include: [...processes, ...soak],
          exclude: [...built, ...paced, ...timed],
          testTimeout: 600_000,
          ...together,
        },
      },
      {
        extends: true,
        test: {
          name: 'paced',
          include: paced,
          exclude: built,
          testTimeout: 600_000,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'timed',
          include: timed,
          exclude: built,
          testTimeout: 600_000,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
