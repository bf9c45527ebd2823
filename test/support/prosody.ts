import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { service } from '#services';
import { freePort } from './free-port.js';

export interface ProsodyCall {
  /** Of accounts at `localhost`, each with the password `secret`. Default alice and waymark. */
  readonly accounts?: readonly string[];
  /** Modules beside the ones that it cannot do without. Default all that are of use here. */
  readonly modules?: readonly string[];
  /** Modules that it has of its own accord. */
  readonly without?: readonly string[];
  /** Files of this folder are its certificate: `server.crt`, `server.key`. Without it there is no TLS. */
  readonly tls?: string;
}

export interface RunningProsody {
  readonly port: number;
  /** All that it has logged. */
  readonly log: string;
  /** SIGKILL, and on the same data again. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** An XMPP server on loopback for `localhost`, with rooms at `rooms.localhost`, run by its own user. */
export async function startProsody(call: ProsodyCall = {}): Promise<RunningProsody> {
  const { path } = service('prosody');
  const folder = await mkdtemp(join(tmpdir(), 'waymark-prosody-'));
  const port = await freePort();
  const config = join(folder, 'prosody.cfg.lua');
  await writeFile(config, configOf(call, folder, port));
  const accounts = join(folder, 'localhost/accounts');
  await mkdir(accounts, { recursive: true });
  for (const name of call.accounts ?? ['alice', 'waymark'])
    await writeFile(join(accounts, `${name}.dat`), 'return { ["password"] = "secret"; };\n');
  if (call.tls !== undefined)
    for (const name of ['server.crt', 'server.key'])
      await writeFile(join(folder, name), await readFile(join(call.tls, name)));
  own(folder);
  let log = '';
  const run = (): Promise<ChildProcess> => begin(path, config, port, (said) => (log += said));
  let child = await run();
  return {
    port,
    get log() {
      return log;
    },
    restart: async () => {
      await end(child);
      child = await run();
    },
    stop: async () => {
      await end(child);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function configOf(call: ProsodyCall, folder: string, port: number): string {
  const { modules = ['smacks', 'ping', 'offline'], without = [], tls } = call;
  const list = (names: readonly string[]): string => names.map((name) => `"${name}";`).join(' ');
  const own = ['roster', 'saslauth', 'disco', ...(tls === undefined ? [] : ['tls'])];
  const off = ['s2s', ...(tls === undefined ? ['tls'] : []), ...without];
  return `
data_path = "${folder}"
pidfile = "${folder}/prosody.pid"
log = { { levels = { min = "info" }, to = "console" } }
interfaces = { "127.0.0.1" }
c2s_ports = { ${port} }
c2s_direct_tls_ports = { }
http_ports = { }
https_ports = { }
modules_enabled = { ${list([...own, ...modules])} }
modules_disabled = { ${list(off)} }
authentication = "internal_hashed"
-- Its default, 10 000, is half a second of each login.
default_iteration_count = 1
storage = "internal"
c2s_require_encryption = ${tls !== undefined}
allow_unencrypted_plain_auth = true
VirtualHost "localhost"
${tls === undefined ? '' : `ssl = { certificate = "${folder}/server.crt", key = "${folder}/server.key" }`}
Component "rooms.localhost" "muc"
`;
}

async function begin(
  program: string,
  config: string,
  port: number,
  heard: (said: string) => void,
): Promise<ChildProcess> {
  const asProsody = ['--reuid=prosody', '--regid=prosody', '--clear-groups'];
  const user = process.getuid?.() === 0 ? asProsody : [];
  const args = ['--pdeathsig', 'KILL', ...user, program, '-F', '--config', config];
  const child = spawn('setpriv', args, { cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4_000);
      heard(chunk.toString());
    });
  const until = performance.now() + 20_000;
  while (!(await answers(port))) {
    if (child.exitCode !== null || performance.now() > until) {
      child.kill('SIGKILL');
      throw new Error(`Prosody did not start: ${said}`);
    }
  }
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => (socket.destroy(), resolve(true)));
    socket.once('error', () => setTimeout(() => resolve(false), 5));
  });
}

function own(folder: string): void {
  if (process.getuid?.() === 0) execFileSync('chown', ['-R', 'prosody:prosody', folder]);
}
