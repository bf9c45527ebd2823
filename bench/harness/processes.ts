import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Servers under test run as children; each has a folder of its own, which goes with it. */
export interface Running {
  readonly pid: number;
  /** Where clients reach it: `127.0.0.1:6379`, or the path of a Unix socket. */
  readonly address: string;
  readonly directory: string;
  stop(): Promise<void>;
}

export interface StartCall {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly address: string;
  readonly directory: string;
  readonly readyMs?: number;
}

export async function start(call: StartCall): Promise<Running> {
  const child = spawn(call.command, call.args, {
    env: { ...process.env, ...call.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: call.directory,
  });
  let said = '';
  const hear = (chunk: Buffer): void => {
    said = (said + chunk.toString()).slice(-4_000);
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  let spawnError = '';
  child.on('error', (error) => (spawnError = error.message));
  const until = performance.now() + (call.readyMs ?? 20_000);
  while (!(await answers(call.address))) {
    if (spawnError !== '' || child.exitCode !== null || performance.now() > until) {
      child.kill('SIGKILL');
      throw new Error(`${call.name} did not start: ${spawnError}${said}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return {
    pid: child.pid as number,
    address: call.address,
    directory: call.directory,
    stop: () => stop(child, call.directory),
  };
}

async function stop(child: ChildProcess, directory: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    const hard = setTimeout(() => child.kill('SIGKILL'), 3_000);
    await ended;
    clearTimeout(hard);
  }
  await rm(directory, { recursive: true, force: true });
}

/** `host:port`, or an absolute path for a Unix socket. */
export function socketTarget(address: string): { path: string } | { host: string; port: number } {
  if (address.startsWith('/')) return { path: address };
  const colon = address.lastIndexOf(':');
  return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) };
}

function answers(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketTarget(address));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

export function temporaryDirectory(name: string, where = tmpdir()): Promise<string> {
  return mkdtemp(join(where, `waymark-bench-${name}-`));
}

/** Resident memory of a process, bytes. */
export async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1_024;
}

/** CPU a process has taken so far, ms, in steps of 10. */
export async function cpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The name before it may hold anything but ends with the last parenthesis.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
