import type { EtcdVersion } from '../../support/etcd.js';
import { EtcdCluster, type Member, peerPort } from './etcd-cluster.js';
import { type Drop, Network } from './namespaces.js';
import { Parts } from './parts.js';
import type { Fault, Victim } from './plan.js';
import { RigServer } from './server.js';

/** Members of etcd and servers of Waymark, one of each per host, and a last host for clients. All of it ends with it. */
export class Rig implements AsyncDisposable {
  readonly network: Network;
  readonly etcd: EtcdCluster;
  readonly servers: readonly RigServer[];
  readonly #parts: Parts;

  private constructor(
    parts: Parts,
    network: Network,
    etcd: EtcdCluster,
    servers: readonly RigServer[],
  ) {
    this.#parts = parts;
    this.network = network;
    this.etcd = etcd;
    this.servers = servers;
  }

  /** @param options.alone  servers that speak to the member on their own host alone; the others to all members */
  static async start(options: {
    readonly version: EtcdVersion;
    readonly alone?: readonly number[];
  }): Promise<Rig> {
    await using parts = new Parts();
    const network = parts.add(await Network.create(hostCount + 1));
    const hosts = network.hosts.slice(0, hostCount);
    const etcd = parts.add(await EtcdCluster.start(hosts, options.version));
    const servers: RigServer[] = [];
    for (const [index, host] of hosts.entries()) {
      const members = etcd.members.filter(
        (member) => member.host === host || options.alone?.includes(index) !== true,
      );
      const addresses = members.map(({ address }) => address);
      servers.push(parts.add(await RigServer.start(host, addresses)));
    }
    return new Rig(parts.move(), network, etcd, servers);
  }

  /** The host that clients run on. */
  get outside(): Network['hosts'][number] {
    return this.network.hosts[hostCount] as Network['hosts'][number];
  }

  /** Begins a fault. @returns ends it; what it ended runs again then */
  async begin(fault: Fault): Promise<() => Promise<void>> {
    if (fault.kind === 'clock') {
      await this.#moveClocks(fault.hours);
      return () => this.#moveClocks(fault.hours.map(() => 0));
    }
    const at = await this.#find(fault.host);
    const member = this.etcd.members[at] as Member;
    const server = this.servers[at] as RigServer;
    switch (fault.kind) {
      case 'kill':
      case 'restart': {
        const signal = fault.kind === 'kill' ? 'SIGKILL' : 'SIGTERM';
        if (fault.what === 'server') {
          await server.end(signal);
          return () => server.begin();
        }
        await this.etcd.end(member, signal);
        return async () => this.etcd.start(member);
      }
      case 'pause': {
        const signal = (name: NodeJS.Signals): void =>
          fault.what === 'server' ? server.signal(name) : this.etcd.signal(member, name);
        signal('SIGSTOP');
        return async () => signal('SIGCONT');
      }
      case 'partition':
      case 'loss':
        await member.host.drop(this.#drops(fault, member));
        return () => member.host.heal();
      case 'reply loss':
        await server.link({ replyDrop: true });
        return () => server.link(null);
      case 'link':
        await server.link(fault.faults);
        return () => server.link(null);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts[Symbol.asyncDispose]();
  }

  async #find(victim: Victim): Promise<number> {
    if (victim !== 'leader') return victim;
    return this.etcd.members.indexOf(await this.etcd.leader());
  }

  async #moveClocks(hours: readonly number[]): Promise<void> {
    await Promise.all(this.servers.map((server, at) => server.moveClock(hours[at] ?? 0)));
  }

  #drops(fault: Extract<Fault, { kind: 'partition' | 'loss' }>, { host }: Member): Drop[] {
    const others = this.etcd.members.filter((member) => member.host !== host);
    const peers = others.map((member) => member.host.address);
    if (fault.kind === 'loss') {
      const { percent } = fault;
      return [
        { way: 'in', peers, percent },
        { way: 'out', peers, percent },
      ];
    }
    const port = fault.of === 'peers' ? { port: peerPort } : {};
    const ways = fault.way === 'both' ? (['in', 'out'] as const) : [fault.way];
    return ways.map((way) => ({ way, peers, ...port }));
  }
}

const hostCount = 3;
