import { type ChildProcess, spawn } from 'node:child_process';
import type { StdioOptions } from 'node:child_process';
import { service } from '#services';

/**
 * Hosts of a network that exists only for a test: each is a network namespace of its own, joined to the others by a bridge in one more.
 * All are unnamed: they live as long as the process that stands in them, so they vanish with it, even when a test is killed.
 */
export class Network implements AsyncDisposable {
  readonly hosts: readonly Host[];
  readonly #hub: Host;

  private constructor(hub: Host, hosts: readonly Host[]) {
    this.#hub = hub;
    this.hosts = hosts;
  }

  /** @throws when the machine cannot do it: not root, or a package that cannot be had */
  static async create(count: number): Promise<Network> {
    service('iproute2');
    service('nftables');
    const opened: Host[] = [];
    try {
      for (let number = 0; number <= count; number++) opened.push(await Host.open(number));
      const [hub, ...hosts] = opened as [Host, ...Host[]];
      await hub.run(['ip', '-batch', '-'], bridge(hosts));
      for (const host of hosts) await host.run(['ip', '-batch', '-'], uplink(host));
      return new Network(hub, hosts);
    } catch (error) {
      for (const host of opened) await host.close();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const host of [...this.hosts, this.#hub]) await host.close();
  }
}

function bridge(hosts: readonly Host[]): string {
  const lines = ['link add br0 type bridge', 'link set br0 up'];
  for (const { number, pid } of hosts) {
    lines.push(`link add v${number} type veth peer name eth0 netns ${pid}`);
    lines.push(`link set v${number} master br0`, `link set v${number} up`);
  }
  return lines.join('\n');
}

function uplink({ address }: Host): string {
  return ['link set lo up', `addr add ${address}/24 dev eth0`, 'link set eth0 up'].join('\n');
}

/** Which packets of a host vanish; what is left out matches all. */
export interface Drop {
  /** `in`: what comes to the host, `out`: what it sends. */
  readonly way: 'in' | 'out';
  /** To or from these hosts. */
  readonly peers?: readonly string[];
  /** Of this port, on either side. */
  readonly port?: number;
  /** So many of a hundred, at random. */
  readonly percent?: number;
}

export class Host {
  readonly number: number;
  readonly address: string;
  /** Of the process that stands in the namespace. */
  readonly pid: number;
  readonly #anchor: ChildProcess;

  private constructor(number: number, anchor: ChildProcess) {
    this.number = number;
    this.address = `10.77.0.${number}`;
    this.pid = anchor.pid as number;
    this.#anchor = anchor;
  }

  static async open(number: number): Promise<Host> {
    const stand = ['unshare', '--net', 'sh', '-c', 'echo ready; exec sleep infinity'];
    const anchor = mortal(stand, { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise<void>((resolve, reject) => {
      anchor.stdout?.once('data', () => resolve());
      anchor.once('error', reject);
      anchor.once('exit', () =>
        reject(new Error('no network namespace: it takes root, and unshare of util-linux')),
      );
    });
    return new Host(number, anchor);
  }

  /** Starts a program in the namespace; it ends with this process. The child's pid is the program's. */
  spawn(
    command: readonly string[],
    options: { readonly stdio: StdioOptions; readonly env?: NodeJS.ProcessEnv },
  ): ChildProcess {
    return mortal(['nsenter', `--net=/proc/${this.pid}/ns/net`, '--', ...command], options);
  }

  /** Runs a program to its end. @returns what it said */
  async run(command: readonly string[], input = ''): Promise<string> {
    const child = this.spawn(command, { stdio: ['pipe', 'pipe', 'pipe'] });
    let [out, err] = ['', ''];
    child.stdout?.on('data', (bytes: Buffer) => (out += bytes.toString()));
    child.stderr?.on('data', (bytes: Buffer) => (err += bytes.toString()));
    // A program may end without having read all; its code tells.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (code !== 0) throw new Error(`${command.join(' ')} ended with ${code}: ${err}${out}`);
    return out;
  }

  /** From now on these packets vanish, and no others. */
  async drop(drops: readonly Drop[]): Promise<void> {
    await this.run(['nft', '-f', '-'], `${emptyTable}\n${drops.map(ruleOf).join('\n')}\n`);
  }

  async heal(): Promise<void> {
    await this.drop([]);
  }

  async close(): Promise<void> {
    await endProcess(this.#anchor, 'SIGKILL');
  }
}

const emptyTable = `add table inet faults
delete table inet faults
add table inet faults
add chain inet faults in { type filter hook input priority 0; policy accept; }
add chain inet faults out { type filter hook output priority 0; policy accept; }`;

function ruleOf({ way, peers, port, percent }: Drop): string {
  const matches = ['iifname eth0', 'oifname eth0'][way === 'in' ? 0 : 1] as string;
  const from = peers && `ip ${way === 'in' ? 'saddr' : 'daddr'} { ${peers.join(', ')} }`;
  const rate = percent === undefined ? '' : `numgen random mod 100 < ${percent}`;
  const sides = port === undefined ? [''] : [`tcp sport ${port}`, `tcp dport ${port}`];
  return sides
    .map((side) => `add rule inet faults ${way} ${matches} ${from ?? ''} ${side} ${rate} drop`)
    .join('\n');
}

/** A child that is killed when this process ends, however that comes about. */
function mortal(
  command: readonly string[],
  options: { readonly stdio: StdioOptions; readonly env?: NodeJS.ProcessEnv },
): ChildProcess {
  return spawn('setpriv', ['--pdeathsig', 'KILL', ...command], options);
}

/** Ends a child and waits for its end. */
export async function endProcess(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await ended;
}
