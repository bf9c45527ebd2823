import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { ClusterFolder, ClusterServer, until, whole } from './cluster-server.js';
import type { LoadAsked } from './load-process.js';
import { type Host, Network } from './network.js';

const program = fileURLToPath(new URL('../dist/cluster/load-process.js', import.meta.url));
const unavailableMsMax = 5_000;

/** A client on a host. */
class Client implements AsyncDisposable {
  readonly #child: ChildProcess;

  constructor(host: Host, name: string, urls: readonly string[]) {
    const [file, ...enter] = host.enter();
    const args = [...enter, process.execPath, program, name, ...urls];
    const stdio = ['ignore', 'inherit', 'inherit', 'ipc'] as const;
    this.#child = spawn(file, args, { stdio: [...stdio] });
  }

  async ask<T>(asked: LoadAsked): Promise<T> {
    const child = this.#child;
    return await new Promise<T>((resolve, reject) => {
      const gone = (): void => reject(new Error('the client ended'));
      child.once('exit', gone);
      child.once('message', ({ told }: { told: T }) => {
        child.off('exit', gone);
        resolve(told);
      });
      child.send(asked);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await gone;
  }
}

test('[W10] three servers on three hosts: each is cut off, then killed, under load: no acknowledged write is lost, and all goes on within 5 s', async () => {
  await using network = await Network.create(3);
  await using folder = new ClusterFolder();
  const on = (host: Host | undefined): string[] => (host as Host).enter();
  const [one, two, three] = network.hosts;
  const settings = (host: Host | undefined): string[] => [
    ...['--advertise', (host as Host).address, '--insecure'],
    ...['--client-port', '2379', '--peer-port', '2380'],
  ];
  const at = (host: Host | undefined) => ({
    enter: on(host),
    address: `${(host as Host).address}:7420`,
  });
  await using a = await ClusterServer.init(folder.directory('a'), settings(one), at(one));
  await using b = await a.joinedBy(folder.directory('b'), settings(two), at(two));
  await using c = await b.joinedBy(folder.directory('c'), settings(three), at(three));
  await until(
    () => a.status(),
    (status) => whole(status, 3),
  );
  const servers = [a, b, c];
  const urls = servers.map(({ url }) => url);
  // Each starts with another server, and stands with one that is not cut off with it.
  for (const [number, server] of servers.entries()) {
    const host = network.hosts[number] as Host;
    const beside = network.hosts[(number + 1) % 3] as Host;
    await using first = new Client(beside, `first-${number}`, urls);
    await using second = new Client(beside, `second-${number}`, [...urls].reverse());
    const clients = [first, second];
    const more = (): Promise<unknown> =>
      Promise.all(clients.map((client) => client.ask({ more: 20 })));
    const gaps = async (): Promise<number[]> =>
      await Promise.all(clients.map((client) => client.ask<number>({ gap: true })));
    await more();
    await gaps();

    network.cut(host);
    await more();
    const cut = await gaps();
    // Alone it knows that it is; and that it must not go on by itself.
    const alone = await until(
      () => server.status(),
      ({ state }) => state === 'no_majority',
    );
    expect(alone.why).toContain('1 of 3 members answer');
    network.heal(host);
    await until(
      () => server.status(),
      (status) => whole(status, 3),
    );
    await more();
    await gaps();

    await server.killWithEtcd();
    await more();
    const killed = await gaps();
    process.stdout.write(
      `unavailable: cut off ${cut.map(Math.round).join(', ')} ms, killed ${killed.map(Math.round).join(', ')} ms\n`,
    );
    await server.restart();
    await until(
      () => server.status(),
      (status) => whole(status, 3),
    );
    for (const client of clients) {
      await client.ask({ stop: true });
      const { url } = servers[(number + 1) % 3] as ClusterServer;
      expect(await client.ask({ lost: url })).toEqual([]);
    }
    expect(Math.max(...cut, ...killed)).toBeLessThan(unavailableMsMax);
  }
});
