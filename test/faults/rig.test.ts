import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { Command } from '../support/command.js';
import { FaultProxy } from './proxy.js';
import { SeededRandom } from './random.js';
import { EtcdCluster, peerPort } from './rig/etcd-cluster.js';
import { Network } from './rig/namespaces.js';
import { faultKinds, planFault } from './rig/plan.js';

/** The rig itself: its faults act, and nothing of it stays. */

test('[rig] a seed determines a fault, and seeds make every kind of it', () => {
  const plans = Array.from({ length: 200 }, (_, seed) => {
    const kind = faultKinds[seed % faultKinds.length] ?? 'kill';
    const plan = planFault(kind, new SeededRandom(seed), 3);
    expect(planFault(kind, new SeededRandom(seed), 3)).toEqual(plan);
    return plan;
  });
  expect(new Set(plans.map(({ kind }) => kind)).size).toBe(8);
  const partitions = plans.filter((plan) => plan.kind === 'partition');
  expect(new Set(partitions.map(({ way, of }) => `${way} ${of}`)).size).toBe(6);
});

function children(): string {
  return readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8');
}

function links(): string {
  return readFileSync('/proc/net/dev', 'utf8').replace(/\d+/g, '');
}

/** Whether a process is there and runs. */
function runs(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

test('[rig] a network is apart from that of the machine, and gone with its end', async () => {
  const before = links();
  let pids: number[];
  {
    await using network = await Network.create(3);
    pids = network.hosts.map(({ pid }) => pid);
    expect(links()).toBe(before);
    expect(pids.every(runs)).toBe(true);
    const [first] = network.hosts;
    expect(await first?.run(['ip', '-br', 'addr'])).toMatch(/10\.77\.0\.1/);
  }
  expect(pids.some(runs)).toBe(false);
  expect(links()).toBe(before);
});

test('[rig] a network that cannot be made leaves no process behind', async () => {
  const before = children();
  // The 256th host has no address.
  await expect(Network.create(256)).rejects.toThrow(/ip -batch/);
  expect(children()).toBe(before);
});

test('[rig] a network ends with the process that made it, even when that is killed', async () => {
  const program = fileURLToPath(new URL('../dist/faults/rig/stand.js', import.meta.url));
  const command = new Command(process.execPath, [program]);
  const pids = JSON.parse(await command.says('\n')) as number[];
  expect(pids).toHaveLength(2);
  expect(pids.every(runs)).toBe(true);
  await command.stop('SIGKILL');
  await expect.poll(() => pids.some(runs), { timeout: 10_000 }).toBe(false);
});

async function takesWrites(etcd: EtcdCluster, number: number): Promise<boolean> {
  const member = etcd.members[number];
  if (member === undefined) return false;
  return await etcd.ctl(member, ['put', 'key', 'value']).then(
    () => true,
    () => false,
  );
}

test('[rig] partitions: who leads and is cut off is replaced, who is deaf or mute takes no writes', async () => {
  await using network = await Network.create(3);
  await using etcd = await EtcdCluster.start(network.hosts, '3.4');
  for (const ways of [['in', 'out'], ['in'], ['out']] as const) {
    const leader = await etcd.leader();
    const at = etcd.members.indexOf(leader);
    await leader.host.drop(ways.map((way) => ({ way, port: peerPort })));
    await expect.poll(() => takesWrites(etcd, (at + 1) % 3), { timeout: 20_000 }).toBe(true);
    expect(await takesWrites(etcd, at)).toBe(false);
    await leader.host.heal();
    await etcd.healthy();
    expect(await takesWrites(etcd, at)).toBe(true);
  }
});

/** Says everything it hears. */
async function echo(): Promise<Server> {
  const server = createServer((socket) => socket.on('error', () => {}).pipe(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

test('[rig] a proxy delays without mixing up, cuts within a reply, and stands half open', async () => {
  const server = await echo();
  const { port } = server.address() as { port: number };
  await using proxy = await FaultProxy.open(`http://127.0.0.1:${port}`);
  const { port: through } = new URL(proxy.url);
  const cat = `exec 3<>/dev/tcp/127.0.0.1/${through}; cat <&3 & cat >&3; wait`;
  const talk = new Command('bash', ['-c', cat], { input: null });
  const say = (text: string): void => void talk.child.stdin?.write(text);
  proxy.set({ replyDelayMs: 5, replyJitterMs: 40 });
  const lines = Array.from({ length: 50 }, (_, number) => `line ${number}\n`);
  for (const line of lines) {
    say(line);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await talk.says('line 49');
  expect(talk.out).toBe(lines.join(''));
  proxy.set({ replyDelayMs: 0, replyJitterMs: 0, halfOpen: true });
  say('lost\n');
  proxy.set({ halfOpen: false, cutAfterBytes: 4 });
  await expect.poll(() => proxy.connections, { timeout: 5_000 }).toBe(1);
  say('cut here\n');
  await expect.poll(() => proxy.connections, { timeout: 5_000 }).toBe(0);
  expect(talk.out.slice(lines.join('').length)).toMatch(/^(lost|cut )?$/);
  await talk.stop('SIGKILL');
  await new Promise((resolve) => server.close(resolve));
});
