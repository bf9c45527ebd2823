import { type Command, Option } from 'commander';
import { WaymarkError } from 'waymark';
import type { Cluster } from 'waymark/cluster';
import { type Engine, mirror, type MirrorOptions, withoutPassword } from 'waymark/engine';
import type { RunningServer } from '../server.js';
import { outColors } from './colors.js';
import { aborted, secondsMs } from './context.js';
import type { Run } from './program.js';
import { addDeliveryFlags, type DeliveryFlags, deliveryOf } from './delivery-flags.js';
import { addLimitFlags, type LimitFlags, limitsOf } from './limit-flags.js';
import { addStashFlags, type StashFlags, stashOf } from './stash-flags.js';
import { addTlsFlags, type TlsFlags, tlsOf } from './tls-flags.js';

interface ServeOptions extends TlsFlags, DeliveryFlags, StashFlags, LimitFlags {
  /** False with --no-watchers. */
  readonly watchers: boolean;
  readonly watchersTtl?: string;
  readonly listen?: string[];
  readonly engine: string;
  readonly cluster?: string;
  readonly etcdBin: string;
  readonly autoRecover?: string;
  readonly advertise?: string;
  readonly http2: 'own' | 'node';
  readonly insecure: boolean;
  readonly access: boolean;
  readonly accessRecover: boolean;
  readonly historyRevisions?: number;
  readonly historyBytes?: number;
  readonly heldRevisions?: number;
  readonly heldBytes?: number;
  readonly etcdQuota?: number;
  readonly mirror: boolean;
  readonly mirrorBytes?: number;
  readonly logLevel: string;
}

/** A second signal ends a stop that takes too long; the first leaves 10 s. */
const stopMsMax = 10_000;

export function serveCommand(program: Command, run: Run): void {
  const command = addStashFlags(
    addDeliveryFlags(addTlsFlags(addLimitFlags(engineOptions(program.command('serve'))))),
  )
    .option(
      '--watchers-ttl <duration>',
      'how long endpoints of a server that died wait for another, 1s to 60s',
      '5s',
    )
    .option('--no-watchers', 'neither take registered watches nor deliver them')
    .option(
      '--access',
      'switch access on where it is off, and print one token of root; then it may listen beyond loopback',
      false,
    )
    .option('--access-recover', 'print one more token of root, for who lost theirs', false)
    .option(
      '--insecure',
      'listen beyond loopback, where everyone who connects may do everything',
      false,
    )
    .option('--log-level <level>', 'debug, info, warn, error or silent', 'warn')
    .addHelpText(
      'after',
      '\nExamples:\n  waymark serve --listen 127.0.0.1:7420 unix:/run/waymark.sock\n  waymark serve --engine memory\n  waymark serve -l 0.0.0.0:7420 --tls-cert server.crt --tls-key server.key --tls-only --client-ca ca.crt\n  waymark serve --engine etcd://10.0.0.1:2379,10.0.0.2:2379/orders --mirror',
    );
  command.action(
    run(async ({ json }) => {
      const options = command.opts<ServeOptions>();
      // Before anyone can know the address, and send a signal.
      const stopped = stopSignal();
      const cluster = await clusterOf(options, stopped);
      const shown =
        cluster === undefined ? withoutPassword(options.engine) : `cluster:${options.cluster}`;
      const member = cluster === undefined ? undefined : memberEngine(options, cluster);
      let server: RunningServer | undefined;
      // Without TLS the signal ends the server, as that of a terminal that was closed does.
      if (options.tlsCert !== undefined) process.on('SIGHUP', () => void server?.reloadTls());
      server = await startServerOn(options, cluster, member);
      if (json)
        process.stdout.write(
          `${JSON.stringify({ addresses: server.addresses, engine: shown, pid: process.pid })}\n`,
        );
      else process.stdout.write(welcome(server.addresses, shown));
      await ended(stopped, cluster);
      const forced = setTimeout(() => process.exit(1), stopMsMax);
      await server.close();
      await member?.[Symbol.asyncDispose]();
      clearTimeout(forced);
    }),
  );
}

function engineOptions(command: Command): Command {
  return command
    .description(
      "run a server: REST, SSE, WebSocket, etcd's API and the binary protocol on one port",
    )
    .option(
      '-l, --listen <address...>',
      'host:port (0: a free one), [ipv6]:port or unix:/path; default 127.0.0.1:7420',
    )
    .option(
      '-e, --engine <url>',
      'memory, file:DIR, or etcd://host:port/root, which many servers may share (WAYMARK_ENGINE)',
      process.env['WAYMARK_ENGINE'] ?? 'file:./waymark-data',
    )
    .option('--mirror', 'keep what is there in memory too, for stale reads and watches', false)
    .option('--mirror-bytes <n>', 'at most so much, or no mirror; default 67108864', Number)
    .option('--cluster <dir>', 'as a member of a cluster, see `waymark cluster`; no --engine then')
    .option('--etcd-bin <path>', 'with --cluster: the etcd to run', 'etcd')
    .option(
      '--auto-recover <duration>',
      'with --cluster: go on alone after so long without any other member; RISK: should the others only be out of reach, ' +
        'two clusters take writes, and what one of them took is lost',
    )
    .option('--advertise <url>', 'where other servers reach this one, default the first address')
    .option('--history-revisions <n>', 'keep at least so many; default 10000', Number)
    .option(
      '--history-bytes <n>',
      'and at least so many bytes of changes; default 67108864',
      Number,
    )
    .option(
      '--held-revisions <n>',
      'keep at most so many for endpoints that are behind; default 1000000',
      Number,
    )
    .option('--held-bytes <n>', 'and at most so many bytes of changes; default 268435456', Number)
    .option(
      '--etcd-quota <bytes>',
      "what a namespace may take through etcd's API; default no limit",
      Number,
    )
    .addOption(
      new Option('--http2 <layer>', "who speaks HTTP/2: Waymark's own layer, or Node's module")
        .choices(['own', 'node'])
        .default('own'),
    );
}

/** @param member  the engine of the cluster, instead of `--engine` */
async function startServerOn(
  options: ServeOptions,
  cluster: Cluster | undefined,
  member: Engine | undefined,
): Promise<RunningServer> {
  const { listen, advertise, insecure, logLevel } = options;
  const neededMax = { revisions: options.heldRevisions, bytes: options.heldBytes };
  const history = {
    revisions: options.historyRevisions,
    bytes: options.historyBytes,
    neededMax,
  };
  const engine = member ?? options.engine;
  const mirrored = member === undefined && mirrorOf(options);
  const call = {
    listen,
    engine,
    cluster,
    advertise,
    history,
    mirror: mirrored,
    etcdQuotaBytes: options.etcdQuota,
    http2: options.http2,
    insecure,
    access: options.access,
    accessRecover: options.accessRecover,
    tls: tlsOf(options),
    watchers: options.watchers && deliveryOf(options, options.watchersTtl),
    stash: stashOf(options),
    ...limitsOf(options),
    logLevel,
  };
  // Loaded here alone: every other command starts in half the time without the server's libraries.
  const { startServer } = await import('../server.js');
  try {
    return await startServer(call);
  } catch (error) {
    await member?.[Symbol.asyncDispose]();
    throw error;
  }
}

function mirrorOf({ mirror: asked, mirrorBytes }: ServeOptions): false | MirrorOptions {
  return asked && { bytesMax: mirrorBytes };
}

function memberEngine(options: ServeOptions, { engine }: Cluster): Engine {
  const asked = mirrorOf(options);
  return asked === false ? engine : mirror(engine, asked);
}

/** The member of the directory, once it has a majority. What it tells on its way goes to standard error. */
async function clusterOf(
  options: ServeOptions,
  stopped: Promise<void>,
): Promise<Cluster | undefined> {
  const { cluster, etcdBin, autoRecover } = options;
  if (cluster === undefined) return undefined;
  const query = new URLSearchParams({ etcdBin });
  if (autoRecover !== undefined) query.set('autoRecover', String(secondsMs(autoRecover)));
  const opening = new AbortController();
  void stopped.then(() => opening.abort(new WaymarkError('unavailable', 'told to stop')));
  const told = (message: string): void => void process.stderr.write(`waymark: ${message}\n`);
  const { openCluster } = await import('waymark/cluster');
  return await openCluster(`cluster:${cluster}?${query}`, { told, signal: opening.signal });
}

/** A signal, or that the member has left its cluster. */
async function ended(stopped: Promise<void>, cluster: Cluster | undefined): Promise<void> {
  await (cluster === undefined ? stopped : Promise.race([stopped, aborted(cluster.gone)]));
}

function welcome(addresses: readonly string[], engine: string): string {
  const port = addresses.find((address) => !address.startsWith('unix:'));
  const http =
    port === undefined
      ? `--unix-socket ${addresses[0]?.slice('unix:'.length)} http://localhost`
      : `http://${port}`;
  return `${outColors.bold('Waymark')} serves ${engine} at ${addresses.join(', ')}. Try, from another shell:

  curl -X PUT --data hello ${http}/v1/ns/default/keys/greeting
  curl ${http}/v1/ns/default/keys/greeting
  curl -N '${http}/v1/ns/default/watch?tree'

`;
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
}
