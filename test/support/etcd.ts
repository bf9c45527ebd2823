import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { service } from '#services';

export interface RunningEtcd {
  /** `host:port`. */
  readonly address: string;
  readonly pid: number;
  stop(): Promise<void>;
}

export type EtcdVersion = '3.4' | '3.5';

export interface EtcdCall {
  /** Default 3.4. */
  readonly version?: EtcdVersion;
  readonly flags?: readonly string[];
}

/** One etcd on loopback, without fsync: nothing in it outlives the test. */
export async function startEtcd(call: EtcdCall = {}): Promise<RunningEtcd> {
  const { path } = service(`etcd-${call.version ?? '3.4'}`);
  const directory = await mkdtemp(join(tmpdir(), 'waymark-etcd-'));
  const address = `127.0.0.1:${await freePort()}`;
  const peer = `http://127.0.0.1:${await freePort()}`;
  const args = [
    '--name=one',
    `--data-dir=${join(directory, 'data')}`,
    `--listen-client-urls=http://${address}`,
    `--advertise-client-urls=http://${address}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=one=${peer}`,
    '--unsafe-no-fsync',
    '--log-level=error',
    ...(call.flags ?? []),
  ];
  const child = spawn(path, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4_000)));
  let failure = '';
  child.on('error', (error) => (failure = error.message));
  const until = performance.now() + 20_000;
  while (!(await answers(address))) {
    if (failure !== '' || child.exitCode !== null || performance.now() > until) {
      child.kill('SIGKILL');
      throw new Error(`etcd did not start: ${failure}${said}`);
    }
  }
  return { address, pid: child.pid as number, stop: async () => await end(child, directory) };
}

async function end(child: ChildProcess, directory: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }
  await rm(directory, { recursive: true, force: true });
}

function answers(address: string): Promise<boolean> {
  const [host = '', port] = address.split(':');
  return new Promise((resolve) => {
    const socket = connect(Number(port), host);
    socket.once('connect', () => (socket.destroy(), resolve(true)));
    socket.once('error', () => setTimeout(() => resolve(false), 5));
  });
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
