import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { askMember, type ClusterStatus } from 'waymark/cluster';
import { expect, test } from 'vitest';
import { freePort } from '../support/free-port.js';
import { ClusterFolder, killEtcd, until, whole } from './cluster-server.js';

const program = fileURLToPath(new URL('../dist/cluster/application.js', import.meta.url));
const unavailableMsMax = 5_000;

interface Told {
  readonly opened?: boolean;
  readonly stopped?: boolean;
  readonly path?: string;
  readonly value?: string;
  readonly entries?: readonly [string, string][];
}

/** A process with `open('cluster:…')`. */
class Application implements AsyncDisposable {
  readonly directory: string;
  readonly #child: ChildProcess;
  readonly #acked: Map<string, string>;
  #heard: (() => void)[] = [];
  #ended = false;
  #last: Told = {};
  #written = 0;

  private constructor(directory: string, child: ChildProcess, acked: Map<string, string>) {
    this.directory = directory;
    this.#child = child;
    this.#acked = acked;
    child.on('message', (told: Told) => {
      if (told.path !== undefined) {
        acked.set(told.path, told.value ?? '');
        this.#written++;
      } else this.#last = told;
      this.#hear();
    });
    child.once('exit', () => {
      this.#ended = true;
      this.#hear();
    });
  }

  /** @returns once its space is open; what it writes comes to `acked` */
  static async start(
    directory: string,
    query: string,
    acked: Map<string, string>,
  ): Promise<Application> {
    const url = `cluster:${directory}?${query}`;
    const child = fork(program, [url, directory.split('/').at(-1) ?? ''], {
      env: { ...process.env, NODE_NO_WARNINGS: '1' },
    });
    const made = new Application(directory, child, acked);
    await made.#until(() => made.#last.opened === true);
    return made;
  }

  /** Resolves once it has written so many more. @returns how long that took, ms */
  async writes(count: number): Promise<number> {
    const enough = this.#written + count;
    const since = performance.now();
    await this.#until(() => this.#written >= enough);
    return performance.now() - since;
  }

  async stop(): Promise<void> {
    this.#child.send('stop');
    await this.#until(() => this.#last.stopped === true);
  }

  /** @returns what was acknowledged to anyone and is not there */
  async lost(): Promise<string[]> {
    this.#last = {};
    this.#child.send('read');
    await this.#until(() => this.#last.entries !== undefined);
    const there = new Map(this.#last.entries);
    return [...this.#acked].flatMap(([path, value]) => (there.get(path) === value ? [] : [path]));
  }

  async status(): Promise<ClusterStatus> {
    return (await askMember(this.directory, 'status')) as unknown as ClusterStatus;
  }

  async close(): Promise<void> {
    this.#child.send('close');
    await this.#end();
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#end();
    killEtcd(this.directory);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) await this.kill();
  }

  async #end(): Promise<void> {
    while (!this.#ended) await new Promise<void>((resolve) => this.#heard.push(resolve));
  }

  async #until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      if (this.#ended) throw new Error('the application ended: is the build there (npx tsc -b)?');
      await new Promise<void>((resolve) => this.#heard.push(resolve));
    }
  }

  #hear(): void {
    for (const heard of this.#heard.splice(0)) heard();
  }
}

async function token(of: Application): Promise<string> {
  return String((await askMember(of.directory, 'token', { ttlMs: 60_000 }))['token']);
}

test('[W10] three applications on cluster: and no server: each is killed under load, then two at once; recover brings all back; they grow to three and shrink to one', async () => {
  await using folder = new ClusterFolder();
  const acked = new Map<string, string>();
  const listen = `127.0.0.1:${await freePort()}`;
  const first = `memory&listen=${listen}`;
  const directory = (name: string): string => folder.directory(name);
  const joined = async (name: string): Promise<Application> => {
    const query = new URLSearchParams({
      memory: '',
      join: `http://${listen}`,
      token: await token(a),
    });
    return await Application.start(directory(name), String(query), acked);
  };
  await using a = await Application.start(directory('a'), `init&${first}`, acked);
  await using b = await joined('b');
  await using c = await joined('c');
  await until(
    () => a.status(),
    (status) => whole(status, 3),
  );

  const gaps: number[] = [];
  /** Kills one, and starts it again once the others have written. */
  const killed = async (one: Application, others: readonly Application[]): Promise<Application> => {
    await one.kill();
    gaps.push(...(await Promise.all(others.map((other) => other.writes(50)))));
    const name = one.directory.split('/').at(-1) ?? '';
    const back = await Application.start(directory(name), one === a ? first : 'memory', acked);
    await until(
      () => back.status(),
      (status) => whole(status, 3),
    );
    return back;
  };
  await using b2 = await killed(b, [a, c]);
  await using a2 = await killed(a, [b2, c]);
  await using c2 = await killed(c, [a2, b2]);
  process.stdout.write(`50 writes after a kill: ${gaps.map(Math.round).join(', ')} ms\n`);
  expect(Math.max(...gaps)).toBeLessThan(unavailableMsMax);

  for (const application of [a2, b2, c2]) await application.stop();
  process.stdout.write(`${acked.size} writes acknowledged\n`);
  expect(await c2.lost()).toEqual([]);
  await Promise.all([a2.kill(), b2.kill()]);
  await until(
    () => c2.status(),
    ({ state }) => state === 'no_majority',
  );
  await expect(askMember(c2.directory, 'recover')).rejects.toMatchObject({ code: 'conflict' });
  await askMember(c2.directory, 'recover', { yes: true });
  expect(await c2.lost()).toEqual([]);

  // An application that listens for others is told to by its URL alone: c ends, and is opened so.
  await c2.close();
  await using c3 = await Application.start(directory('c'), first, acked);
  const joinC = async (name: string): Promise<Application> => {
    const query = new URLSearchParams({ memory: '', join: listen, token: await token(c3) });
    return await Application.start(directory(name), String(query), acked);
  };
  const members = async (count: number): Promise<unknown> =>
    await until(
      () => c3.status(),
      (status) => whole(status, count),
    );
  await using d = await joinC('d');
  await using e = await joinC('e');
  await members(3);
  for (const application of [c3, d, e]) await application.stop();
  expect(await e.lost()).toEqual([]);
  // And back to one, by command.
  for (const [left, application] of [e, d].entries()) {
    await askMember(application.directory, 'leave');
    await members(2 - left);
    await application.close();
  }
  expect(await c3.lost()).toEqual([]);
});
