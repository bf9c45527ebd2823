import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { service } from '#services';
import { waymark } from '../../support/command.js';
import type { LinkFaults } from '../proxy.js';
import type { AgentOrder } from './agent.js';
import { Child } from './child.js';
import { endProcess, type Host } from './namespaces.js';

const agent = fileURLToPath(new URL('../../dist/faults/rig/agent.js', import.meta.url));
const port = 7_420;

/** `waymark serve` on a host of the rig. It reaches etcd through proxies on its own host, and its wall clock can be moved. */
export class RigServer implements AsyncDisposable {
  readonly host: Host;
  readonly url: string;
  readonly #directory: string;
  readonly #links: Child<AgentOrder, string>;
  readonly #engine: string;
  #process: ChildProcess | null = null;

  private constructor(
    host: Host,
    directory: string,
    links: Child<AgentOrder, string>,
    engine: string,
  ) {
    this.host = host;
    this.url = `http://${host.address}:${port}`;
    this.#directory = directory;
    this.#links = links;
    this.#engine = engine;
  }

  /** @param members  `host:port` of the members of etcd it may speak to */
  static async start(host: Host, members: readonly string[]): Promise<RigServer> {
    const directory = await mkdtemp(join(tmpdir(), 'waymark-rig-'));
    const [links, addresses] = await Child.start<AgentOrder, string, string[]>(
      host,
      agent,
      members,
    );
    const server = new RigServer(host, directory, links, `etcd://${addresses.join(',')}/rig`);
    try {
      await server.moveClock(0);
      await server.begin();
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Starts it, again if need be; resolves once it listens. */
  async begin(): Promise<void> {
    const flags = ['--listen', `${this.host.address}:${port}`, '--insecure', '--engine'];
    const command = [process.execPath, waymark, '--json', 'serve', ...flags, this.#engine];
    const env = {
      ...process.env,
      LD_PRELOAD: service('libfaketime').path,
      FAKETIME_TIMESTAMP_FILE: this.#clockFile,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      DONT_FAKE_MONOTONIC: '1',
    };
    const child = this.host.spawn(command, { stdio: ['ignore', 'pipe', 'inherit'], env });
    this.#process = child;
    await new Promise<void>((resolve, reject) => {
      child.stdout?.once('data', () => resolve());
      child.once('exit', (code) => reject(new Error(`a server ended with ${code} as it began`)));
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.#process?.kill(signal);
  }

  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    if (this.#process !== null) await endProcess(this.#process, signal);
  }

  /** Faults of its links to etcd; `null` ends them. */
  async link(faults: LinkFaults | null): Promise<void> {
    await this.#links.ask({ faults });
  }

  /** Its wall clock is so far ahead from now on; the monotonic one stays. */
  async moveClock(hours: number): Promise<void> {
    await writeFile(this.#clockFile, `${hours < 0 ? '-' : '+'}${Math.abs(hours)}h\n`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end('SIGKILL');
    await this.#links[Symbol.asyncDispose]();
    await rm(this.#directory, { recursive: true, force: true });
  }

  get #clockFile(): string {
    return join(this.#directory, 'clock');
  }
}
