import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { service } from '#services';
import type { EtcdVersion } from '../../support/etcd.js';
import { endProcess, type Host } from './namespaces.js';

export const clientPort = 2_379;
export const peerPort = 2_380;

/** A member of the cluster, in a host of its own. */
export interface Member {
  readonly host: Host;
  readonly name: string;
  /** `host:port` for clients. */
  readonly address: string;
}

/** An etcd of one member per host. It elects in half a second and writes without fsync: what it keeps outlives a killed process, and no more. */
export class EtcdCluster implements AsyncDisposable {
  readonly members: readonly Member[];
  readonly #directory: string;
  readonly #binaries: string;
  readonly #etcdctl: string;
  readonly #flags: readonly string[];
  readonly #running = new Map<Member, ChildProcess>();

  private constructor(
    directory: string,
    binaries: string,
    hosts: readonly Host[],
    flags: readonly string[],
  ) {
    this.#flags = flags;
    this.#directory = directory;
    this.#binaries = binaries;
    this.#etcdctl = join(binaries, 'etcdctl');
    this.members = hosts.map((host) => ({
      host,
      name: `m${host.number}`,
      address: `${host.address}:${clientPort}`,
    }));
  }

  static async start(
    hosts: readonly Host[],
    version: EtcdVersion,
    flags: readonly string[] = [],
  ): Promise<EtcdCluster> {
    const { directory: binaries } = service(`etcd-${version}`);
    const directory = await mkdtemp(join(tmpdir(), 'waymark-cluster-'));
    const cluster = new EtcdCluster(directory, binaries, hosts, flags);
    try {
      for (const member of cluster.members) cluster.start(member);
      await cluster.healthy();
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  start(member: Member): void {
    const { host, name } = member;
    const peers = this.members.map((one) => `${one.name}=http://${one.host.address}:${peerPort}`);
    const client = `http://${host.address}:${clientPort}`;
    const args = [
      `--name=${name}`,
      `--data-dir=${join(this.#directory, name)}`,
      `--listen-client-urls=${client},http://127.0.0.1:${clientPort}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=http://${host.address}:${peerPort}`,
      `--initial-advertise-peer-urls=http://${host.address}:${peerPort}`,
      `--initial-cluster=${peers.join(',')}`,
      '--heartbeat-interval=50',
      '--election-timeout=500',
      '--unsafe-no-fsync',
      '--log-level=panic',
      ...this.#flags,
    ];
    const command = [join(this.#binaries, 'etcd'), ...args];
    this.#running.set(member, host.spawn(command, { stdio: 'ignore' }));
  }

  signal(member: Member, signal: NodeJS.Signals): void {
    this.#running.get(member)?.kill(signal);
  }

  /** Ends a member and waits for its end; what it keeps on disk stays. */
  async end(member: Member, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#running.get(member);
    if (child !== undefined) await endProcess(child, signal);
  }

  /** Resolves once every member answers a linearizable read. */
  async healthy(): Promise<void> {
    for (const member of this.members) {
      await this.#untilAnswer(member, ['endpoint', 'health']);
    }
  }

  /** Who leads, as that member itself tells; after a fault it takes an election until one does. */
  async leader(): Promise<Member> {
    for (const until = performance.now() + 20_000; performance.now() < until;) {
      for (const member of this.members) if (await this.#leads(member)) return member;
    }
    throw new Error('no member says that it leads');
  }

  /** Runs etcdctl against one member, on its own host. */
  ctl(member: Member, args: readonly string[]): Promise<string> {
    return member.host.run(['env', 'ETCDCTL_API=3', this.#etcdctl, ...ctlArgs, ...args]);
  }

  /** The command line of etcdctl on a member's host, for what does not end by itself. */
  ctlCommand(args: readonly string[]): string[] {
    return ['env', 'ETCDCTL_API=3', this.#etcdctl, ...ctlArgs, ...args];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#running.values()) await endProcess(child, 'SIGKILL');
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #leads(member: Member): Promise<boolean> {
    const said = await this.ctl(member, ['endpoint', 'status', '-w', 'json']).catch(() => '[]');
    const [status] = JSON.parse(said) as { Status: { header: Header; leader: number } }[];
    return status !== undefined && status.Status.header.member_id === status.Status.leader;
  }

  async #untilAnswer(member: Member, args: readonly string[]): Promise<void> {
    const until = performance.now() + 30_000;
    for (;;) {
      try {
        await this.ctl(member, args);
        return;
      } catch (error) {
        if (performance.now() > until) throw error;
      }
    }
  }
}

interface Header {
  /** Rounded by JSON.parse, as `leader` is. */
  readonly member_id: number;
}

const ctlArgs = [
  `--endpoints=127.0.0.1:${clientPort}`,
  '--dial-timeout=1s',
  '--command-timeout=2s',
];
