import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { ClientOrder, ClientReport, ClientTask } from '../locks/lock-set-client.js';
import { chooseSeed, SeededRandom, sized } from './random.js';
import { Child } from './rig/child.js';
import { Parts } from './rig/parts.js';
import { faultKinds, planFault } from './rig/plan.js';
import { Rig } from './rig/rig.js';
import { readValues } from './rig/etcd-log.js';

/** Clients add one to keys that locks protect, while the cluster suffers one fault after the other and they are stopped beyond their TTL. */
const file = 'test/faults/cluster-locks.test.ts';
const program = fileURLToPath(new URL('../dist/locks/lock-set-client.js', import.meta.url));
const processes = 4;
const lockCount = 8;
const ttlMs = 1_000;

type LockClient = Child<ClientOrder, ClientReport | 'paused'>;

interface Sum {
  /** Acknowledged additions that are not there at the end. */
  readonly lost: number;
  /** Additions that are there and that no one made. */
  readonly invented: number;
  /** Places and marks that are still there once all leases have ended. */
  readonly phantoms: number;
  readonly added: number;
  readonly refused: number;
  readonly unknown: number;
}

async function runLocks(target: ClientTask['target'], faults: number, seed: number): Promise<Sum> {
  const random = new SeededRandom(seed);
  await using rig = await Rig.start({ version: '3.4' });
  await using parts = new Parts();
  const clients: LockClient[] = [];
  for (let number = 0; number < processes; number++) {
    const url = rig.servers[number % rig.servers.length]?.url ?? '';
    const task: ClientTask = {
      url,
      faultyEngine: true,
      locks: lockCount,
      lanes: 3,
      ttlMs,
      sectionMsMax: 50,
      target,
    };
    const args = [JSON.stringify(task)];
    const [client] = await Child.start<ClientOrder, ClientReport | 'paused', string>(
      rig.outside,
      program,
      args,
    );
    clients.push(parts.add(client));
  }
  let working = true;
  const pausing = Promise.all(
    clients.map((client, index) => pause(client, new SeededRandom(seed + index), () => working)),
  );
  for (let number = 0; number < faults; number++) {
    await sleep(300);
    const fault = planFault(random.pick(faultKinds), random, rig.servers.length);
    const end = await rig.begin(fault);
    await sleep(fault.lastsMs);
    await end();
  }
  await sleep(faults === 0 ? 7_000 : 0);
  working = false;
  await pausing;
  await rig.etcd.healthy();
  const reports = (await Promise.all(
    clients.map((client) => client.ask('stop')),
  )) as ClientReport[];
  const there = await readValues(rig.etcd, 'rig/d/n/locks/d/data/');
  await sleep(2 * ttlMs + 1_000);
  const phantoms = await Promise.all(
    ['h', 'x'].map((facet) => readValues(rig.etcd, `rig/d/n/locks/${facet}/`)),
  );
  return { ...sumUp(reports, there), phantoms: phantoms.reduce((sum, { size }) => sum + size, 0) };
}

/** Each pause hits a section, and is longer than any lease lives on. */
async function pause(
  client: LockClient,
  random: SeededRandom,
  working: () => boolean,
): Promise<void> {
  while (working()) {
    await sleep(300 + random.below(1_500));
    await client.ask('pause');
    await sleep(2 * ttlMs + random.below(500));
    client.signal('SIGCONT');
  }
}

function sumUp(
  reports: readonly ClientReport[],
  there: ReadonlyMap<string, string>,
): Omit<Sum, 'phantoms'> {
  const total = (of: (report: ClientReport) => number): number =>
    reports.reduce((sum, report) => sum + of(report), 0);
  let [lost, invented, added] = [0, 0, 0];
  for (let number = 0; number < lockCount; number++) {
    const name = `/lock-${number}`;
    const acknowledged = total((report) => report.added[name] ?? 0);
    const count = Number(there.get(`rig/d/n/locks/d/data${name}`) ?? 0);
    lost += Math.max(0, acknowledged - count);
    invented += Math.max(0, count - acknowledged);
    added += acknowledged;
  }
  const unknown = total((report) => report.unknown);
  const refused = total((report) => report.refused);
  return { lost, invented: Math.max(0, invented - unknown), added, refused, unknown };
}

test(
  '[L8] keys of a cluster with faults, written under holds, lose no update',
  { timeout: 1_200_000 },
  async () => {
    const seed = chooseSeed(file);
    const sum = await runLocks('guarded', sized(10, 200), seed);
    console.log(`guarded: ${JSON.stringify(sum)}`);
    expect(sum).toMatchObject({ lost: 0, invented: 0, phantoms: 0 });
    expect(sum.added).toBeGreaterThan(0);
    expect(sum.refused).toBeGreaterThan(0);
  },
);

test(
  '[L7] control: without the check of the token updates are lost',
  { timeout: 300_000 },
  async () => {
    const seed = chooseSeed(file);
    const sum = await runLocks('unguarded', 0, seed);
    console.log(`unguarded: ${JSON.stringify(sum)}`);
    expect(sum.lost).toBeGreaterThan(0);
  },
);
