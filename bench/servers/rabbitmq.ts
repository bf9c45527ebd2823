import { execFileSync } from 'node:child_process';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureDebian } from '#services';
import { freePort, type Running, start, temporaryDirectory } from '../harness/processes.js';

/** A broker with an epmd of its own, run by the user that Debian's package makes. The address has the user in it: `bench:bench@127.0.0.1:PORT`. */
export async function startRabbit(): Promise<Running> {
  ensureDebian(['rabbitmq-server']);
  const directory = await temporaryDirectory('rabbitmq');
  const [port, epmdPort, distPort] = [await freePort(), await freePort(), await freePort()];
  const settings = {
    'listeners.tcp.1': `127.0.0.1:${port}`,
    default_user: 'bench',
    default_pass: 'bench',
    'log.file': 'false',
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`);
  await writeFile(join(directory, 'rabbitmq.conf'), lines.join(''));
  await writeFile(join(directory, 'plugins'), '[].\n');
  await chmod(directory, 0o755);
  execFileSync('chown', ['-R', 'rabbitmq:rabbitmq', directory]);
  const env = {
    HOME: directory,
    RABBITMQ_NODENAME: `bench${port}@localhost`,
    RABBITMQ_CONFIG_FILE: join(directory, 'rabbitmq'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(directory, 'plugins'),
    RABBITMQ_MNESIA_BASE: join(directory, 'data'),
    RABBITMQ_LOG_BASE: join(directory, 'log'),
    RABBITMQ_DIST_PORT: String(distPort),
    // The broker itself takes the place of its script, which would not end it.
    RUNNING_UNDER_SYSTEMD: 'true',
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
    ERL_EPMD_PORT: String(epmdPort),
    ERL_EPMD_ADDRESS: '127.0.0.1',
  };
  const run = (name: string, program: string, at: number): Promise<Running> =>
    start({
      name,
      command: '/usr/bin/setpriv',
      args: ['--reuid=rabbitmq', '--regid=rabbitmq', '--clear-groups', program],
      env,
      address: `127.0.0.1:${at}`,
      directory,
      readyMs: 60_000,
    });
  const epmd = await run('epmd', 'epmd', epmdPort);
  const broker = await run('rabbitmq-server', '/usr/lib/rabbitmq/bin/rabbitmq-server', port);
  return {
    ...broker,
    address: `bench:bench@${broker.address}`,
    stop: async () => {
      await broker.stop();
      await epmd.stop();
    },
  };
}
