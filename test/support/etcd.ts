import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { service } from '#services';
import { freePort } from './free-port.js';

export interface RunningEtcd {
  /** `host:port`. */
  readonly address: string;
  readonly pid: number;
  /** Ends it hard and starts it again, with its data, at the same address. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export type EtcdVersion = '3.4' | '3.5';

export interface EtcdCall {
  /** Default 3.4. */
  readonly version?: EtcdVersion;
  readonly flags?: readonly string[];
  /** Files of this folder are its certificate: `server.crt`, `server.key`, and `ca.crt` for those of clients, which are asked for. */
  readonly tls?: string;
}

/** One etcd on loopback, without fsync: nothing in it outlives the test. */
export async function startEtcd(call: EtcdCall = {}): Promise<RunningEtcd> {
  const { path } = service(`etcd-${call.version ?? '3.4'}`);
  const directory = await mkdtemp(join(tmpdir(), 'waymark-etcd-'));
  const address = `127.0.0.1:${await freePort()}`;
  const url = `${call.tls === undefined ? 'http' : 'https'}://${address}`;
  const peer = `http://127.0.0.1:${await freePort()}`;
  const args = [
    '--name=one',
    `--data-dir=${join(directory, 'data')}`,
    `--listen-client-urls=${url}`,
    `--advertise-client-urls=${url}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=one=${peer}`,
    '--unsafe-no-fsync',
    '--log-level=error',
    ...(call.tls === undefined ? [] : tlsFlags(call.tls)),
    ...(call.flags ?? []),
  ];
  let child = await start(path, args, address);
  return {
    address,
    get pid() {
      return child.pid as number;
    },
    restart: async () => {
      await end(child);
      child = await start(path, args, address);
    },
    stop: async () => {
      await end(child);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function tlsFlags(folder: string): string[] {
  return [
    `--cert-file=${join(folder, 'server.crt')}`,
    `--key-file=${join(folder, 'server.key')}`,
    `--trusted-ca-file=${join(folder, 'ca.crt')}`,
    '--client-cert-auth',
  ];
}

async function start(
  binary: string,
  args: readonly string[],
  address: string,
): Promise<ChildProcess> {
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', binary, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
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
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
}

/** Whether something listens; after a moment when nothing does. */
export function answers(address: string): Promise<boolean> {
  const [host = '', port] = address.split(':');
  return new Promise((resolve) => {
    const socket = connect(Number(port), host);
    socket.once('connect', () => (socket.destroy(), resolve(true)));
    socket.once('error', () => setTimeout(() => resolve(false), 5));
  });
}
