import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chown, existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { service } from '#services';
import { freePort } from './free-port.js';

export type PostgresVersion = 15 | 18;

export interface PostgresCall {
  readonly version?: PostgresVersion;
  /** As in postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Default false: nothing in it outlives the test. */
  readonly fsync?: boolean;
  /** Lines of pg_hba.conf. Default: everybody is trusted. */
  readonly hba?: readonly string[];
  /** Of the server's processes, beside PATH. */
  readonly env?: Readonly<Record<string, string>>;
  /** Begins with a copy of this one, and streams what happens there, by the name `standby`. */
  readonly standbyOf?: RunningPostgres;
}

export interface RunningPostgres {
  readonly port: number;
  /** Of the postmaster, changed by `restart`. */
  readonly pid: number;
  /** `postgres://…/postgres`, as its superuser. */
  readonly url: string;
  /** SIGKILL to the postmaster; its children end by themselves. */
  kill(): Promise<void>;
  /** On the same data and port. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** A server on loopback with its data in a temporary folder, run by a user without privileges. */
export async function startPostgres(call: PostgresCall = {}): Promise<RunningPostgres> {
  const { version = 15, settings = {}, fsync = false, env = {}, hba } = call;
  const { directory: binaries } = service(`postgres-${version}`);
  if (version === 18) await linkLibraries(dirname(binaries));
  const folder = await mkdtemp(join(tmpdir(), 'waymark-postgres-'));
  const data = join(folder, 'data');
  await own(folder);
  if (call.standbyOf === undefined) copy(await newCluster(binaries), data);
  else copyOf(call.standbyOf, binaries, data);
  if (hba !== undefined) await writeFile(join(data, 'pg_hba.conf'), hba.join('\n'));
  const port = await freePort();
  const all: Record<string, string> = {
    port: String(port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: folder,
    fsync: fsync ? 'on' : 'off',
    max_connections: '200',
    shared_buffers: '32MB',
    // A standby that is promoted while it waits to find its primary again first waits that out.
    wal_retrieve_retry_interval: '100ms',
    ...settings,
  };
  const flags = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const run = (): Promise<ChildProcess> =>
    begin({ binary: join(binaries, 'postgres'), args: ['-D', data, ...flags], port, env });
  let child = await run();
  return {
    port,
    url: `postgres://waymark@127.0.0.1:${port}/postgres`,
    get pid() {
      return child.pid as number;
    },
    kill: () => end(child, 'SIGKILL'),
    async restart() {
      await end(child, 'SIGKILL');
      // Its children end by themselves, and until then it does not begin.
      for (let tries = 1; ; tries++) {
        try {
          child = await run();
          return;
        } catch (error) {
          if (tries >= 50) throw error;
        }
      }
    },
    async stop() {
      await end(child, 'SIGQUIT');
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** initdb computes for a second and copying what it made does not, so each release's is made once and kept. */
async function newCluster(binaries: string): Promise<string> {
  const initdb = join(binaries, 'initdb');
  const release = /[\d.]+\w*/.exec(execFileSync(initdb, ['--version'], { encoding: 'utf8' }))?.[0];
  const kept = join(tmpdir(), 'waymark-services', `postgres-${release}-data-${process.getuid?.()}`);
  if (existsSync(kept)) return kept;
  await mkdir(dirname(kept), { recursive: true });
  const folder = await mkdtemp(join(tmpdir(), 'waymark-postgres-'));
  await own(folder);
  const data = join(folder, 'data');
  const user = ['-U', 'waymark', '--auth=trust'];
  const args = ['-D', data, ...user, '--no-sync', '-E', 'UTF8', '--locale=C'];
  execFileSync(...asNobody(initdb, args), { stdio: 'pipe', cwd: '/' });
  // Whoever is first leaves it there, whole: another's is the same.
  await rename(data, kept).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
  });
  await rm(folder, { recursive: true });
  return kept;
}

function copy(cluster: string, data: string): void {
  execFileSync('cp', ['--archive', '--reflink=auto', cluster, data]);
}

function copyOf({ port }: RunningPostgres, binaries: string, data: string): void {
  const source = `host=127.0.0.1 port=${port} user=waymark application_name=standby`;
  const args = ['-D', data, '-d', source, '-c', 'fast', '--no-sync', '--write-recovery-conf'];
  execFileSync(...asNobody(join(binaries, 'pg_basebackup'), args), { stdio: 'pipe', cwd: '/' });
}

interface Start {
  readonly binary: string;
  readonly args: readonly string[];
  readonly port: number;
  readonly env: Readonly<Record<string, string>>;
}

async function begin({ binary, args, port, env }: Start): Promise<ChildProcess> {
  // Set by env, so that what is preloaded runs as the user without privileges from the first.
  const settings = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const [command, all] = asNobody('/usr/bin/env', [...settings, binary, ...args]);
  const { PATH = '' } = process.env;
  const child = spawn(command, all, {
    stdio: ['ignore', 'ignore', 'pipe'],
    cwd: '/',
    env: { PATH },
  });
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4_000)));
  const until = performance.now() + 30_000;
  while (!(await answers(port))) {
    if (child.exitCode !== null || child.signalCode !== null || performance.now() > until) {
      child.kill('SIGKILL');
      throw new Error(`PostgreSQL did not start: ${said}`);
    }
    await sleep(10);
  }
  return child;
}

export async function answers(port: number): Promise<boolean> {
  const client = new pg.Client({
    connectionString: `postgres://waymark@127.0.0.1:${port}/postgres`,
    connectionTimeoutMillis: 2_000,
  });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query('select 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}

export async function end(child: ChildProcess, signal: 'SIGKILL' | 'SIGQUIT'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await ended;
}

/** PostgreSQL refuses to run as root. */
export function asNobody(binary: string, args: readonly string[]): [string, string[]] {
  if (process.getuid?.() !== 0) return [binary, [...args]];
  const user = ['--reuid=nobody', '--regid=nogroup', '--clear-groups'];
  return ['/usr/bin/setpriv', [...user, binary, ...args]];
}

/** Gives a folder to the user that servers run as. */
export async function own(folder: string): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const id = (flag: string): number =>
    Number(execFileSync('/usr/bin/id', [flag, 'nobody'], { encoding: 'utf8' }));
  await promisify(chown)(folder, id('-u'), id('-g'));
}

/** Packages of npm hold no links: these are listed in a file, for a script at installation that may not have run. */
async function linkLibraries(native: string): Promise<void> {
  const text = await readFile(join(native, 'pg-symlinks.json'), 'utf8');
  for (const link of JSON.parse(text) as { source: string; target: string }[]) {
    const [source, target] = [link.source, link.target].map((path) => join(native, '..', path));
    if (target === undefined || existsSync(target)) continue;
    await symlink(source as string, target).catch(() => {});
  }
}
