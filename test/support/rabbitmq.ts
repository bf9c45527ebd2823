import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { service } from '#services';
import { freePort } from './free-port.js';
import { answers } from './etcd.js';

export interface RabbitCall {
  /** As in rabbitmq.conf. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Files of this folder are its certificate, at a port of its own: `ca.crt`, `server.crt`, `server.key`. */
  readonly tls?: string;
}

export interface RunningRabbit {
  readonly port: number;
  /** Where nothing listens without `tls`. */
  readonly tlsPort: number;
  /** `amqp://waymark:CANARY-p4ss@127.0.0.1:PORT`: an administrator. */
  readonly url: string;
  /** What `rabbitmqctl` prints; it takes a second or two. */
  ctl(...args: readonly string[]): Promise<string>;
  /** SIGKILL, and on the same data again. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** A broker on loopback with its data in a temporary folder, with an epmd of its own, run by a user without privileges. */
export async function startRabbit(call: RabbitCall = {}): Promise<RunningRabbit> {
  const { directory: binaries } = service('rabbitmq');
  const folder = await mkdtemp(join(tmpdir(), 'waymark-rabbitmq-'));
  const port = await freePort();
  const tlsPort = await freePort();
  const epmdPort = await freePort();
  const distPort = await freePort();
  for (const name of call.tls === undefined ? [] : ['ca.crt', 'server.crt', 'server.key']) {
    await copyFile(join(call.tls as string, name), join(folder, name));
    await chmod(join(folder, name), 0o644);
  }
  await writeFile(join(folder, 'rabbitmq.conf'), configOf(call, { folder, port, tlsPort }));
  await writeFile(join(folder, 'plugins'), '[].\n');
  await own(folder);
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: folder,
    RABBITMQ_NODENAME: `waymark${port}@localhost`,
    RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'plugins'),
    RABBITMQ_MNESIA_BASE: join(folder, 'data'),
    RABBITMQ_LOG_BASE: join(folder, 'log'),
    RABBITMQ_DIST_PORT: String(distPort),
    // The broker itself takes the place of its script, which would not end it.
    RUNNING_UNDER_SYSTEMD: 'true',
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
    ERL_EPMD_PORT: String(epmdPort),
    ERL_EPMD_ADDRESS: '127.0.0.1',
  };
  const epmd = begin('epmd', [], env);
  // A broker that finds none starts one of its own, which would stay.
  const until = performance.now() + 10_000;
  while (!(await answers(`127.0.0.1:${epmdPort}`))) {
    if (epmd.exitCode !== null || performance.now() > until) throw new Error('epmd did not start');
  }
  const run = (): Promise<ChildProcess> => beginBroker(join(binaries, 'rabbitmq-server'), env);
  let broker = await run();
  return {
    port,
    tlsPort,
    url: `amqp://waymark:CANARY-p4ss@127.0.0.1:${port}`,
    ctl: async (...args) => {
      const [command, all] = asRabbit(join(binaries, 'rabbitmqctl'), ['-q', ...args]);
      const { stdout } = await promisify(execFile)(command, all, { env, cwd: folder });
      return stdout;
    },
    restart: async () => {
      await end(broker);
      // Until epmd sees that it is gone, its name is taken.
      for (let tries = 1; ; tries++) {
        try {
          broker = await run();
          return;
        } catch (error) {
          if (tries >= 5) throw error;
        }
      }
    },
    stop: async () => {
      await end(broker);
      await end(epmd);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function configOf(
  { settings = {}, tls }: RabbitCall,
  { folder, port, tlsPort }: { folder: string; port: number; tlsPort: number },
): string {
  const all: Record<string, string> = {
    'listeners.tcp.1': `127.0.0.1:${port}`,
    default_user: 'waymark',
    default_pass: 'CANARY-p4ss',
    loopback_users: 'none',
    'log.file': 'false',
    ...(tls !== undefined && {
      'listeners.ssl.1': `127.0.0.1:${tlsPort}`,
      'ssl_options.cacertfile': join(folder, 'ca.crt'),
      'ssl_options.certfile': join(folder, 'server.crt'),
      'ssl_options.keyfile': join(folder, 'server.key'),
      'ssl_options.verify': 'verify_none',
    }),
    ...settings,
  };
  return Object.entries(all)
    .map(([name, value]) => `${name} = ${value}\n`)
    .join('');
}

async function beginBroker(program: string, env: NodeJS.ProcessEnv): Promise<ChildProcess> {
  const child = begin(program, [], env);
  let said = '';
  const late = setTimeout(() => child.kill('SIGKILL'), 50_000);
  try {
    for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
      said = `${said}${line}\n`.slice(-4_000);
      if (/completed with \d+ plugins/.test(line)) {
        child.stdout?.resume();
        return child;
      }
    }
  } finally {
    clearTimeout(late);
  }
  throw new Error(`RabbitMQ did not start: ${said}`);
}

function begin(program: string, args: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
  const [command, all] = asRabbit(program, args);
  return spawn('setpriv', ['--pdeathsig', 'KILL', command, ...all], {
    env,
    cwd: '/',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

/** As Debian's package means it to run. */
function asRabbit(program: string, args: readonly string[]): [string, string[]] {
  if (process.getuid?.() !== 0) return [program, [...args]];
  const user = ['--reuid=rabbitmq', '--regid=rabbitmq', '--clear-groups'];
  return ['setpriv', [...user, program, ...args]];
}

async function own(folder: string): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const id = (flag: string): number =>
    Number(execFileSync('id', [flag, 'rabbitmq'], { encoding: 'utf8' }));
  await chown(folder, id('-u'), id('-g'));
}
