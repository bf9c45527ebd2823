// Runs one part of the tests with its long figures: npm run test:long -- PART
import { spawnSync } from 'node:child_process';

const parts = {
  locks: ['test/locks/lock-set.test.ts', 'test/locks/lock-table.test.ts'],
  expiry: ['test/locks/expiry.test.ts'],
  elections: ['test/elections'],
  messages: ['test/messages'],
  durability: ['test/durability'],
  'power-loss': ['test/durability/power-loss.test.ts', 'test/durability/stash-power-loss.test.ts'],
  engines: ['test/engines'],
  'recipes-elsewhere': ['test/recipes/etcd.test.ts', 'test/recipes/postgres.test.ts'],
  linearizability: ['test/linearizability'],
  watches: ['test/watches'],
  cluster: [
    'test/faults/clock.test.ts',
    'test/faults/cluster-locks.test.ts',
    'test/faults/cluster.test.ts',
    'test/faults/rig.test.ts',
    'test/faults/postgres-standby.test.ts',
  ],
  stash: ['test/faults/stash-nodes-lost.test.ts', 'test/faults/stash-moves.test.ts'],
  big: ['test/faults/stash-big.test.ts'],
  delivery: [
    'test/delivery/rig.test.ts',
    'test/delivery/engines.test.ts',
    'test/delivery/zombies.test.ts',
  ],
  'etcd-api': ['test/etcd/differential', 'test/etcd/auth-matrix.test.ts'],
  http2: ['test/http2'],
  semaphores: ['test/recipes/semaphore-histories.test.ts'],
  overload: ['test/overload/overload.test.ts', 'test/overload/reconnect.test.ts'],
  rolling: ['test/overload/rolling.test.ts'],
  soak: ['test/overload/soak.test.ts'],
  patterns: ['test/watchers/glob.test.ts', 'test/watchers/pattern-index.test.ts'],
  postgres: ['test/engines/postgres-order.test.ts', 'test/engines/postgres-faults.test.ts'],
};
const files = parts[process.argv[2]];
if (files === undefined) {
  console.error(`usage: npm run test:long -- ${Object.keys(parts).join(' | ')}`);
  process.exit(2);
}
const { status } = spawnSync('npx', ['vitest', 'run', ...files], {
  stdio: 'inherit',
  env: { ...process.env, WAYMARK_LONG: '1' },
});
process.exit(status ?? 1);
