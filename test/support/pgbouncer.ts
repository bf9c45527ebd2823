import { spawn } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { service } from '#services';
import { freePort } from './free-port.js';
import { answers, asNobody, end } from './postgres.js';

export interface RunningPgbouncer {
  readonly url: string;
  stop(): Promise<void>;
}

/** A pooler in front of a PostgreSQL server, that gives a connection of the server to one transaction at a time. */
export async function startPgbouncer(serverPort: number): Promise<RunningPgbouncer> {
  const { path } = service('pgbouncer');
  const folder = await mkdtemp(join(tmpdir(), 'waymark-pgbouncer-'));
  await chmod(folder, 0o755);
  const port = await freePort();
  const file = join(folder, 'pgbouncer.ini');
  const lines = [
    '[databases]',
    `postgres = host=127.0.0.1 port=${serverPort} user=waymark`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${port}`,
    'unix_socket_dir =',
    'auth_type = any',
    'pool_mode = transaction',
    'default_pool_size = 8',
    'max_client_conn = 1000',
  ];
  await writeFile(file, lines.join('\n'));
  const child = spawn(...asNobody(path, ['-q', file]), { stdio: 'ignore', cwd: '/' });
  const until = performance.now() + 10_000;
  while (!(await answers(port))) {
    if (child.exitCode !== null || performance.now() > until) {
      child.kill('SIGKILL');
      throw new Error('pgbouncer did not start');
    }
  }
  return {
    url: `postgres://waymark@127.0.0.1:${port}/postgres`,
    async stop() {
      await end(child, 'SIGKILL');
      await rm(folder, { recursive: true, force: true });
    },
  };
}
