import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { Child } from './rig/child.js';
import type { BehindReport } from './rig/behind.js';
import { EtcdCluster, type Member, peerPort } from './rig/etcd-cluster.js';
import { Network } from './rig/namespaces.js';

const program = fileURLToPath(new URL('../dist/faults/rig/behind.js', import.meta.url));
/** As many entries as a leader keeps for those who lag, and more: who was away longer gets a snapshot. */
const awayFor = 6_000;

test(
  '[K8] a watch by a member that was away for longer than its leader keeps entries misses nothing and tells nothing twice (etcd issue 15271)',
  { timeout: 120_000 },
  async () => {
    await using network = await Network.create(4);
    const [outside] = network.hosts.slice(3) as [Network['hosts'][number]];
    await using etcd = await EtcdCluster.start(network.hosts.slice(0, 3), '3.4', [
      '--snapshot-count=100',
    ]);
    const leader = await etcd.leader();
    const lagging = etcd.members.find((member) => member !== leader) as Member;
    const [child] = await Child.start<number | 'report', unknown, string>(outside, program, [
      leader.address,
      lagging.address,
    ]);
    await using client = child;
    await client.ask(500);
    expect(await client.ask('report')).toEqual({ delivered: 500, repeated: 0 });
    await lagging.host.drop([
      { way: 'in', port: peerPort },
      { way: 'out', port: peerPort },
    ]);
    await client.ask(awayFor);
    await lagging.host.heal();
    await client.ask(100);
    const { delivered, repeated } = (await client.ask('report')) as BehindReport;
    console.log(`a member with a snapshot: ${delivered} delivered, ${repeated} repeated`);
    expect({ delivered, repeated }).toEqual({ delivered: 500 + awayFor + 100, repeated: 0 });
  },
);
