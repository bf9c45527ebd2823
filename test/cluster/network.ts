import { type ChildProcess, spawn, spawnSync } from 'node:child_process';

/**
 * Hosts in network namespaces of their own, on a bridge in one more. All are unnamed: they live as long as the process that stands in them,
 * and this one.
 */
export class Network implements AsyncDisposable {
  readonly hosts: readonly Host[];
  readonly #hub: Host;

  private constructor(hub: Host, hosts: readonly Host[]) {
    this.#hub = hub;
    this.hosts = hosts;
  }

  /** @throws when the machine cannot do it: it takes root, and `ip` of iproute2 */
  static async create(count: number): Promise<Network> {
    const [hub, ...hosts] = await Promise.all(
      Array.from({ length: count + 1 }, (_, number) => Host.open(number)),
    );
    const network = new Network(hub as Host, hosts);
    network.#hub.ip('link add br0 type bridge', 'link set br0 up');
    for (const { number, pid, address, ip } of hosts) {
      network.#hub.ip(
        `link add v${number} type veth peer name eth0 netns ${pid}`,
        `link set v${number} master br0`,
        `link set v${number} up`,
      );
      ip('link set lo up', `addr add ${address}/24 dev eth0`, 'link set eth0 up');
    }
    return network;
  }

  cut({ number }: Host): void {
    this.#hub.ip(`link set v${number} down`);
  }

  heal({ number }: Host): void {
    this.#hub.ip(`link set v${number} up`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const host of [...this.hosts, this.#hub]) await host.close();
  }
}

export class Host {
  readonly number: number;
  readonly address: string;
  readonly pid: number;
  readonly #anchor: ChildProcess;

  private constructor(number: number, anchor: ChildProcess) {
    this.number = number;
    this.address = `10.78.0.${number}`;
    this.pid = anchor.pid as number;
    this.#anchor = anchor;
  }

  static async open(number: number): Promise<Host> {
    // It ends with this process: by the end of its input.
    const [file, ...args] = ['unshare', '--net', 'sh', '-c', 'echo ready; exec cat'] as const;
    const anchor = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    await new Promise<void>((resolve, reject) => {
      anchor.stdout.once('data', () => resolve());
      anchor.once('error', reject);
      anchor.once('exit', () => reject(new Error('no network namespace: it takes root')));
    });
    return new Host(number, anchor);
  }

  /** What runs a command here. */
  enter(): [string, ...string[]] {
    return ['nsenter', `--net=/proc/${this.pid}/ns/net`, '--'];
  }

  readonly ip = (...lines: readonly string[]): void => {
    const [file, ...args] = this.enter();
    const { status, stderr } = spawnSync(file, [...args, 'ip', '-batch', '-'], {
      input: lines.join('\n'),
    });
    if (status !== 0) throw new Error(`ip: ${stderr.toString()}`);
  };

  async close(): Promise<void> {
    const gone = new Promise((resolve) => this.#anchor.once('exit', resolve));
    this.#anchor.kill('SIGKILL');
    await gone;
  }
}
