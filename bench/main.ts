import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import type { LineResult } from './harness/duel.js';
import { printTable, report } from './report.js';
import { clusterSuite } from './suites/cluster.js';
import { coreSuite } from './suites/core.js';
import { deliverySuite } from './suites/delivery.js';
import { etcdApiSuite } from './suites/etcd-api.js';
import { fileSuite } from './suites/file.js';
import { lockSuite } from './suites/lock.js';
import { messagingSuite } from './suites/messaging.js';
import { serverSuite } from './suites/server.js';
import { Stage } from './suites/stage.js';
import { stashSuite } from './suites/stash.js';
import { watchSuite } from './suites/watch.js';

const suites = {
  core: coreSuite,
  server: serverSuite,
  watch: watchSuite,
  lock: lockSuite,
  messaging: messagingSuite,
  delivery: deliverySuite,
  file: fileSuite,
  cluster: clusterSuite,
  'etcd-api': etcdApiSuite,
  stash: stashSuite,
} as const;

const usage = `npm run bench -- SUITE… [--peers] [--long] [--rounds N] [--only TEXT] [--json FILE]
  SUITE   ${Object.keys(suites).join(', ')}, or all
  --peers also the servers and libraries each line is measured against, in turns
  --long  watch: 60 s in an open loop at half of peak, one round
  --rounds  runs of each side, 5 unless you say so; --long: 1
  --only  lines whose name contains TEXT
`;

const options = {
  peers: { type: 'boolean', default: false },
  long: { type: 'boolean', default: false },
  rounds: { type: 'string' },
  only: { type: 'string' },
  json: { type: 'string' },
  help: { type: 'boolean', default: false },
} as const;

/** @returns null when they cannot be understood, which it says */
function argumentsGiven() {
  try {
    const given = parseArgs({ allowPositionals: true, options });
    const { rounds } = given.values;
    if (rounds === undefined || /^[1-9]\d?$/.test(rounds)) return given;
    throw new Error(`--rounds takes 1 to 99, not ${rounds}`);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    return null;
  }
}

async function main(): Promise<void> {
  const given = argumentsGiven();
  if (given?.values.help === true) return void process.stdout.write(usage);
  const asked = given?.positionals ?? [];
  const names = asked.includes('all') ? Object.keys(suites) : asked;
  if (given === null || names.length === 0 || names.some((name) => !(name in suites))) {
    process.stderr.write(usage);
    process.exitCode = 2;
    return;
  }
  const { values } = given;
  const { peers, long, only } = values;
  const results: LineResult[] = [];
  for (const name of names as (keyof typeof suites)[]) {
    process.stdout.write(`\n== ${name}\n`);
    const stage = new Stage({ peers, long, only, rounds: Number(values.rounds ?? (long ? 1 : 5)) });
    try {
      await suites[name](stage);
    } finally {
      results.push(...stage.results);
      await stage[Symbol.asyncDispose]();
    }
  }
  const made = report(results);
  printTable(made, long ? [] : names, peers && only === undefined);
  if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(made, null, 1)}\n`);
}

await main();
process.exit();
