import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { service } from '#services';
import { askMember, type ClusterStatus } from 'waymark/cluster';
import { Command, type Finished, waymark } from '../support/command.js';
import { freePort } from '../support/free-port.js';

export type Verb = 'status' | 'token' | 'leave' | 'recover';

/** A folder for members, whose processes and data are gone when it is disposed. */
export class ClusterFolder implements AsyncDisposable {
  readonly path = mkdtempSync(join(tmpdir(), 'waymark-members-'));
  readonly #made: string[] = [];

  constructor() {
    // Members run the one that is found by PATH.
    service('etcd-3.4');
  }

  /** The directory of a member, that need not be there yet. */
  directory(name: string): string {
    const directory = join(this.path, name);
    if (!this.#made.includes(directory)) this.#made.push(directory);
    return directory;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const directory of this.#made) {
      killEtcd(directory);
      const { data } = memberFile(directory);
      if (data?.startsWith('/dev/shm/waymark-') === true)
        rmSync(data, { recursive: true, force: true });
    }
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** `waymark ARGS` to its end. */
export async function run(...args: readonly string[]): Promise<Finished> {
  return await new Command(process.execPath, [waymark, ...args]).done;
}

/** Where a server runs: by default on loopback, at a free port. */
interface Where {
  /** What runs a command on another host. */
  readonly enter: readonly string[];
  readonly address: string;
}

async function here(): Promise<Where> {
  return { enter: [], address: `127.0.0.1:${await freePort()}` };
}

/** A member with its server, in a process of its own. */
export class ClusterServer implements AsyncDisposable {
  readonly directory: string;
  readonly url: string;
  readonly #where: Where;
  command: Command;

  private constructor(directory: string, where: Where, more: readonly string[]) {
    this.directory = directory;
    this.url = `http://${where.address}`;
    this.#where = where;
    this.command = this.#launch(more);
  }

  /** @returns once it serves */
  static async start(
    directory: string,
    where?: Where,
    more: readonly string[] = [],
  ): Promise<ClusterServer> {
    const server = new ClusterServer(directory, where ?? (await here()), more);
    await server.command.says('\n', 60_000);
    return server;
  }

  /** Makes the directory the first member, and starts it. */
  static async init(
    directory: string,
    more: readonly string[] = [],
    where?: Where,
  ): Promise<ClusterServer> {
    await done(where, ['cluster', 'init', directory, ...more]);
    return await ClusterServer.start(directory, where);
  }

  /** Makes the directory one more member, and starts it. */
  async joinedBy(
    directory: string,
    more: readonly string[] = [],
    where?: Where,
  ): Promise<ClusterServer> {
    const from = ['--from', this.url, '--token', await this.token()];
    await done(where, ['cluster', 'join', directory, ...from, ...more]);
    return await ClusterServer.start(directory, where);
  }

  async token(ttlMs = 60_000): Promise<string> {
    return String((await askMember(this.directory, 'token', { ttlMs }))['token']);
  }

  async status(): Promise<ClusterStatus> {
    return (await askMember(this.directory, 'status')) as unknown as ClusterStatus;
  }

  /** `waymark cluster VERB DIR …`. */
  async cluster(verb: Verb, ...more: readonly string[]): Promise<Finished> {
    return await run('cluster', verb, this.directory, ...more);
  }

  /** The process alone: its etcd goes on. */
  async kill(): Promise<void> {
    await this.command.stop('SIGKILL');
  }

  async killWithEtcd(): Promise<void> {
    await this.kill();
    killEtcd(this.directory);
  }

  /** After it was killed: at the same address. @returns once it serves */
  async restart(more: readonly string[] = []): Promise<void> {
    this.command = this.#launch(more);
    await this.command.says('\n', 60_000);
  }

  #launch(more: readonly string[]): Command {
    const { enter, address } = this.#where;
    const beyond = enter.length === 0 ? [] : ['--insecure'];
    const args = ['--json', 'serve', '--cluster', this.directory, '--listen', address, ...beyond];
    return onHost(enter, [...args, ...more]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { child } = this.command;
    if (child.exitCode === null && child.signalCode === null) await this.kill();
    killEtcd(this.directory);
  }
}

async function done(where: Where | undefined, args: readonly string[]): Promise<void> {
  const { code, err } = await onHost(where?.enter ?? [], args).done;
  if (code !== 0) throw new Error(err);
}

function onHost(enter: readonly string[], args: readonly string[]): Command {
  const [file = '', ...rest] = [...enter, process.execPath, waymark, ...args];
  return new Command(file, rest);
}

/** Its pid is in the directory; it is that of an etcd only if this has the directory's data. */
export function etcdPid(directory: string): number | null {
  try {
    const pid = Number(readFileSync(join(directory, 'etcd.pid'), 'utf8'));
    const { data = '-' } = memberFile(directory);
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(data) ? pid : null;
  } catch {
    return null;
  }
}

export function killEtcd(directory: string): void {
  const pid = etcdPid(directory);
  if (pid !== null) process.kill(pid, 'SIGKILL');
}

export interface KeptMember {
  readonly data?: string;
  readonly name?: string;
  readonly gone?: string;
  readonly clientPort?: number;
  readonly peerPort?: number;
}

export function memberFile(directory: string): KeptMember {
  try {
    return JSON.parse(readFileSync(join(directory, 'member.json'), 'utf8')) as KeptMember;
  } catch {
    return {};
  }
}

/** Asks until it is so: there is no event to wait for in another process. */
export async function until<T>(
  ask: () => Promise<T>,
  holds: (answer: T) => boolean,
  boundMs = 30_000,
): Promise<T> {
  const end = performance.now() + boundMs;
  for (;;) {
    const answer = await ask().catch((error: unknown) => error as Error);
    if (!(answer instanceof Error) && holds(answer)) return answer;
    if (performance.now() > end) {
      const text = answer instanceof Error ? answer.message : JSON.stringify(answer);
      throw new Error(`never so within ${boundMs} ms; last: ${text}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** All of these are voting members that answer, and one leads. */
export function whole({ members, state }: ClusterStatus, count: number): boolean {
  return (
    state === 'member' &&
    members.length === count &&
    members.every(({ answers, learner }) => answers && !learner) &&
    members.some(({ leads }) => leads)
  );
}
