import { execFileSync } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureDebian, service } from '#services';
import { freePort, type Running, start, temporaryDirectory } from '../harness/processes.js';

/** Every server of the bench, on loopback, with its data in a temporary folder. */
export interface RedisCall {
  readonly appendAlways?: boolean;
  readonly unix?: boolean;
}

export async function startRedis(call: RedisCall = {}): Promise<Running> {
  ensureDebian(['redis-server']);
  const directory = await temporaryDirectory('redis');
  const port = call.unix === true ? 0 : await freePort();
  const address = call.unix === true ? join(directory, 'redis.sock') : `127.0.0.1:${port}`;
  const log =
    call.appendAlways === true
      ? ['--appendonly', 'yes', '--appendfsync', 'always']
      : ['--appendonly', 'no'];
  const socket = call.unix === true ? ['--unixsocket', address] : ['--bind', '127.0.0.1'];
  const args = [
    '--port',
    String(port),
    ...socket,
    '--save',
    '',
    ...log,
    '--daemonize',
    'no',
    '--dir',
    directory,
  ];
  return start({ name: 'redis-server', command: 'redis-server', args, address, directory });
}

export interface EtcdCall {
  /** Default: Debian's own, 3.4. */
  readonly version?: '3.5';
  /** Its data in memory, as those of `serve --cluster --memory`: a flush costs nothing there. */
  readonly memory?: boolean;
}

const tmpfs = '/dev/shm';

export async function startEtcd({ version, memory }: EtcdCall = {}): Promise<Running> {
  if (version === undefined) ensureDebian(['etcd-server']);
  const command = version === undefined ? 'etcd' : service(`etcd-${version}`).path;
  const directory = await temporaryDirectory('etcd', memory === true ? tmpfs : undefined);
  const [client, peer] = [await freePort(), await freePort()];
  const clientUrl = `http://127.0.0.1:${client}`;
  const peerUrl = `http://127.0.0.1:${peer}`;
  const args = [
    '--name=bench',
    `--data-dir=${join(directory, 'data')}`,
    `--listen-client-urls=${clientUrl}`,
    `--advertise-client-urls=${clientUrl}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=bench=${peerUrl}`,
    '--log-level=error',
  ];
  return start({ name: 'etcd', command, args, address: `127.0.0.1:${client}`, directory });
}

export async function startNats(): Promise<Running> {
  ensureDebian(['nats-server']);
  const directory = await temporaryDirectory('nats');
  const port = await freePort();
  const command = '/usr/sbin/nats-server';
  const args = ['-a', '127.0.0.1', '-p', String(port)];
  return start({ name: 'nats-server', command, args, address: `127.0.0.1:${port}`, directory });
}

export async function startZooKeeper(): Promise<Running> {
  ensureDebian(['zookeeper', 'default-jre-headless']);
  const directory = await temporaryDirectory('zookeeper');
  const port = await freePort();
  const config = `tickTime=2000\ndataDir=${directory}\nclientPort=${port}\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\nadmin.enableServer=false\n`;
  await writeFile(join(directory, 'zoo.cfg'), config);
  const main = 'org.apache.zookeeper.server.quorum.QuorumPeerMain';
  const args = [
    '-Xmx512m',
    '-cp',
    '/etc/zookeeper/conf_example:/usr/share/java/*',
    main,
    join(directory, 'zoo.cfg'),
  ];
  return start({
    name: 'zookeeper',
    command: 'java',
    args,
    address: `127.0.0.1:${port}`,
    directory,
  });
}

export async function startPostgres(): Promise<Running> {
  ensureDebian(['postgresql']);
  const directory = await temporaryDirectory('postgres');
  await chmod(directory, 0o755);
  const data = join(directory, 'data');
  await mkdir(data);
  const port = await freePort();
  const asNobody = ['--reuid=nobody', '--regid=nogroup', '--clear-groups'];
  const bin = '/usr/lib/postgresql/15/bin';
  execFileSync('chown', ['nobody:nogroup', data]);
  execFileSync(
    '/usr/bin/setpriv',
    [...asNobody, `${bin}/initdb`, '--no-sync', '--auth=trust', '-U', 'bench', '-D', data],
    {
      stdio: 'pipe',
      cwd: data,
    },
  );
  const args = [
    ...asNobody,
    `${bin}/postgres`,
    '-D',
    data,
    '-p',
    String(port),
    '-k',
    data,
    '-c',
    'listen_addresses=127.0.0.1',
  ];
  return start({
    name: 'postgres',
    command: '/usr/bin/setpriv',
    args,
    address: `127.0.0.1:${port}`,
    directory,
  });
}

export interface WaymarkCall {
  /** `memory`, `file` in a folder of its own, or an engine elsewhere by its URL. */
  readonly engine?: string;
  readonly unix?: boolean;
  /** More of `waymark serve`. */
  readonly flags?: readonly string[];
}

const command = fileURLToPath(
  new URL('../../../packages/server/dist/bundle/main.js', import.meta.url),
);

/** The address is what `open` takes: `http://…` or `unix:/…`. */
export async function startWaymark(call: WaymarkCall = {}): Promise<Running> {
  const directory = await temporaryDirectory('waymark');
  const socket = join(directory, 'waymark.sock');
  const address = call.unix === true ? socket : `127.0.0.1:${await freePort()}`;
  const listen = call.unix === true ? `unix:${socket}` : address;
  const { engine: asked = 'memory', flags = [] } = call;
  const engine = asked === 'file' ? `file:${join(directory, 'data')}` : asked;
  const running = await start({
    name: 'waymark',
    command: process.execPath,
    args: waymarkCommand(['serve', '--engine', engine, '--listen', listen, ...flags]).slice(1),
    address,
    directory,
  });
  return { ...running, address: call.unix === true ? `unix:${socket}` : `http://${address}` };
}

/** Waymark's own command with these arguments. */
export function waymarkCommand(args: readonly string[]): [string, ...string[]] {
  return [process.execPath, ...profileFlags(), command, ...args];
}

/** BENCH_PROFILE=DIR writes CPU profiles: of Waymark servers into DIR/server, of workers into DIR/client. */
function profileFlags(): string[] {
  const directory = process.env['BENCH_PROFILE'];
  return directory === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${directory}/server`];
}

export async function startEcho(): Promise<Running> {
  const directory = await temporaryDirectory('echo');
  const port = await freePort();
  const script = `require('net').createServer((s) => { s.setNoDelay(true); s.on('error', () => {}); s.pipe(s); }).listen(${port}, '127.0.0.1')`;
  const args = ['-e', script];
  return start({
    name: 'echo',
    command: process.execPath,
    args,
    address: `127.0.0.1:${port}`,
    directory,
  });
}
