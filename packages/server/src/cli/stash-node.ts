import { hostname } from 'node:os';
import { type Command, Option } from 'commander';
import { WaymarkError } from 'waymark';
import type { StashNodeService } from '../stash/node-service.js';
import { aborted, after, type GlobalOptions, interruption, print } from './context.js';
import { ProgressLine, shownMove } from './stash-progress.js';

const lookMs = 500;

interface NodeFlags {
  readonly data?: string;
  readonly space?: string;
  readonly zone?: string;
  readonly weight?: number;
  readonly listen: string;
  readonly advertise?: string;
  readonly token?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
  readonly quota?: number;
  readonly replicas?: number;
  readonly metrics?: string;
  readonly logLevel: string;
}

/** Options of `waymark stash` itself: a node in a process of its own. */
export function stashNodeOptions(command: Command): Command {
  return command
    .description('run a storage node (with --data), or ask the stash (see the commands below)')
    .option('--data <dir>', 'run a node that keeps its data there')
    .option(
      '--space <url>',
      'whose node it is (WAYMARK_ENGINE): etcd://…, postgres://…, or a server that gives its engine: http://…',
    )
    .option('--zone <name>', 'copies are spread over zones, and read from the own one first')
    .option('--weight <n>', 'its share beside other nodes; default 1', Number)
    .option(
      '--listen <address>',
      ':port finds its own address, host:port is taken as it is; port 0: a free one',
      '127.0.0.1:0',
    )
    .option('--advertise <host:port>', 'where others reach it, when that is another address')
    .option(
      '--token <text>',
      'what others have to show, and it shows them (WAYMARK_STASH_TOKEN)',
      process.env['WAYMARK_STASH_TOKEN'],
    )
    .option('--tls-cert <file>', 'ask for TLS: the certificate, as PEM')
    .option('--tls-key <file>', 'and its key')
    .option('--tls-ca <file>', "the authority of other nodes' certificates, as PEM")
    .option('--quota <bytes>', 'take no values beyond so much; default no limit', Number)
    .option('--replicas <n>', 'copies of each entry, said by the first node; default 3', Number)
    .option('--metrics <address>', 'serve /metrics, /healthz and /readyz there: :port or host:port')
    .addOption(
      new Option('--log-level <level>')
        .choices(['fatal', 'error', 'warn', 'info', 'debug', 'silent'])
        .default('info'),
    );
}

export async function runStashNode(options: GlobalOptions, flags: NodeFlags): Promise<void> {
  const { data: directory, tlsCert: cert, tlsKey: key, tlsCa: ca, quota, ...more } = flags;
  const { space = process.env['WAYMARK_ENGINE'] } = flags;
  if (directory === undefined || space === undefined) {
    const text = 'a node takes --data DIR and --space URL; `waymark stash --help` has the commands';
    throw new WaymarkError('invalid', text);
  }
  if ((cert === undefined) !== (key === undefined)) {
    throw new WaymarkError('invalid', 'TLS needs --tls-cert and --tls-key');
  }
  const stopping = interruption();
  const tls = cert === undefined || key === undefined ? undefined : { cert, key };
  const { runNode } = await import('../stash/alone.js');
  const owner = `${hostname()}:${process.pid}`;
  const running = await runNode({ ...more, directory, space, owner, tls, ca, quotaBytes: quota });
  const { service, metricsPort: metrics } = running;
  const { address, state } = service;
  const { id } = service.store;
  print(
    options,
    { id, address, state, pid: process.pid, metrics },
    `node ${id} of the stash at ${address}: ${state}`,
  );
  if (more.logLevel !== 'silent') await joined(options, service, stopping);
  await aborted(stopping);
  await running[Symbol.asyncDispose]();
}

/** Says how far it is until it has its share of the data. */
async function joined(
  options: GlobalOptions,
  service: StashNodeService,
  stopping: AbortSignal,
): Promise<void> {
  const line = new ProgressLine(options);
  while (service.state === 'joining' && !stopping.aborted) {
    const { move } = service;
    if (move !== null) line.tell(shownMove(move), move);
    await after(lookMs);
  }
  line.end();
}
