import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import mysql from 'mysql2/promise';
import { service } from '#services';
import { freePort } from './free-port.js';
import { asNobody, own } from './postgres.js';

export interface RunningMariadb {
  readonly port: number;
  /** An account that may do all in the database `events`, and nothing elsewhere. */
  readonly user: string;
  readonly password: string;
  /** Runs a statement as root. Rows as arrays. */
  root(sql: string): Promise<readonly (readonly unknown[])[]>;
  /** Another session as root. */
  session(): Promise<mysql.Connection>;
  stop(): Promise<void>;
}

/** A server on loopback with its data in a temporary folder, run by a user without privileges. */
export async function startMariadb(settings: readonly string[] = []): Promise<RunningMariadb> {
  const { path } = service('mariadb');
  const folder = await mkdtemp(join(tmpdir(), 'waymark-mariadb-'));
  const data = join(folder, 'data');
  await own(folder);
  const install = [
    '--no-defaults',
    `--datadir=${data}`,
    '--auth-root-authentication-method=normal',
    '--skip-test-db',
  ];
  const [installer, installArgs] = asNobody(installerOf(path), install);
  execFileSync(installer, installArgs, { stdio: 'pipe', cwd: '/' });
  const port = await freePort();
  const socket = join(folder, 's.sock');
  const flags = [
    '--no-defaults',
    `--datadir=${data}`,
    `--socket=${socket}`,
    `--port=${port}`,
    '--bind-address=127.0.0.1',
    '--innodb-flush-log-at-trx-commit=0',
    ...settings,
  ];
  const [command, args] = asNobody(path, flags);
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], cwd: '/' });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const connection = await connect(child, socket);
  const root = async (sql: string): Promise<readonly (readonly unknown[])[]> => {
    const [rows] = await connection.query({ sql, rowsAsArray: true });
    return Array.isArray(rows) ? (rows as unknown as readonly (readonly unknown[])[]) : [];
  };
  const [user, password] = ['waymark', "pa'ss:/@word"];
  await root('create database events');
  await root(`create user '${user}'@'127.0.0.1' identified by ${connection.escape(password)}`);
  await root(`grant all on events.* to '${user}'@'127.0.0.1'`);
  return {
    port,
    user,
    password,
    root,
    session: () => connect(child, socket),
    async stop() {
      connection.destroy();
      child.kill('SIGKILL');
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function installerOf(server: string): string {
  return join(dirname(server), '../bin/mariadb-install-db');
}

async function connect(child: ChildProcess, socketPath: string): Promise<mysql.Connection> {
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4_000)));
  const until = performance.now() + 30_000;
  for (;;) {
    try {
      return await mysql.createConnection({ user: 'root', socketPath });
    } catch {
      if (child.exitCode === null && child.signalCode === null && performance.now() < until)
        continue;
      child.kill('SIGKILL');
      throw new Error(`MariaDB did not start: ${said}`);
    }
  }
}
