import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { askMember, type ClusterStatus } from 'waymark/engine';
import { Command, type Finished, waymark } from '../support/command.js';
import { freePort } from '../support/etcd.js';

export type Verb = 'status' | 'token' | 'leave' | 'recover';

/** A folder for members, whose processes and data are gone when it is disposed. */
export class ClusterFolder implements AsyncDisposable {
  readonly path = mkdtempSync(join(tmpdir(), 'waymark-members-'));
  readonly #made: string[] = [];

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
export function run(...args: readonly string[]): Promise<Finished> {
  return new Command(process.execPath, [waymark, ...args]).done;
}

/** A member with its server, in a process of its own. */
export class ClusterServer implements AsyncDisposable {
  readonly directory: string;
  readonly url: string;
  command: Command;

  private constructor(directory: string, url: string, command: Command) {
    this.directory = directory;
    this.url = url;
    this.command = command;
  }

  /** @returns once it serves */
  static async start(directory: string, more: readonly string[] = []): Promise<ClusterServer> {
    const url = `http://127.0.0.1:${await freePort()}`;
    const server = new ClusterServer(directory, url, launch(directory, url, more));
    await server.command.says('\n', 60_000);
    return server;
  }

  /** Makes the directory the first member, and starts it. */
  static async init(directory: string, more: readonly string[] = []): Promise<ClusterServer> {
    const { code, err } = await run('cluster', 'init', directory, ...more);
    if (code !== 0) throw new Error(err);
    return await ClusterServer.start(directory);
  }

  /** Makes the directory one more member, and starts it. */
  async joinedBy(directory: string, more: readonly string[] = []): Promise<ClusterServer> {
    const token = await this.token();
    const from = ['--from', this.url, '--token', token];
    const { code, err } = await run('cluster', 'join', directory, ...from, ...more);
    if (code !== 0) throw new Error(err);
    return await ClusterServer.start(directory);
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
    this.command = launch(this.directory, this.url, more);
    await this.command.says('\n', 60_000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { child } = this.command;
    if (child.exitCode === null && child.signalCode === null) await this.kill();
    killEtcd(this.directory);
  }
}

function launch(directory: string, url: string, more: readonly string[]): Command {
  const address = url.slice('http://'.length);
  const args = ['--json', 'serve', '--cluster', directory, '--listen', address, ...more];
  return new Command(process.execPath, [waymark, ...args]);
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

export function memberFile(directory: string): { data?: string; name?: string; gone?: string } {
  try {
    return JSON.parse(readFileSync(join(directory, 'member.json'), 'utf8')) as { data: string };
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
