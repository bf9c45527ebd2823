import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { service } from '#services';
import { freePort } from './free-port.js';

export interface RunningNats {
  readonly port: number;
  /** Names of the clients that are connected, as the server lists them. */
  clients(): Promise<readonly string[]>;
  /** SIGKILL, and on the same data again. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** A server with JetStream on loopback, its data in a temporary folder. @param config  as in nats-server.conf, beside where it listens and stores */
export async function startNats(config = ''): Promise<RunningNats> {
  const { path } = service('nats');
  const folder = await mkdtemp(join(tmpdir(), 'waymark-nats-'));
  const port = await freePort();
  const monitor = await freePort();
  const file = join(folder, 'nats.conf');
  const own = `listen: 127.0.0.1:${port}\nhttp: 127.0.0.1:${monitor}\njetstream { store_dir: ${folder} }\n`;
  await writeFile(file, own + config);
  let child = await begin(path, file);
  return {
    port,
    clients: async () => {
      const answer = await fetch(`http://127.0.0.1:${monitor}/connz`);
      const { connections } = (await answer.json()) as { connections: { name?: string }[] };
      return connections.map(({ name = '' }) => name);
    },
    restart: async () => {
      await end(child);
      child = await begin(path, file);
    },
    stop: async () => {
      await end(child);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function begin(path: string, config: string): Promise<ChildProcess> {
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', path, '-c', config], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const late = setTimeout(() => child.kill('SIGKILL'), 20_000);
  let said = '';
  try {
    for await (const line of createInterface({ input: child.stderr })) {
      said = `${said}${line}\n`.slice(-4_000);
      if (!line.includes('Server is ready')) continue;
      child.stderr.resume();
      return child;
    }
  } finally {
    clearTimeout(late);
  }
  throw new Error(`nats-server did not start: ${said}`);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}
