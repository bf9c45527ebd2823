import type { Command } from 'commander';
import { WaymarkError } from 'waymark';
import type { ServerStashOptions } from '../stash/of-server.js';

export interface StashFlags {
  /** A directory; false with --no-stash. */
  readonly stash?: string | false;
  readonly stashListen?: string;
  readonly stashAdvertise?: string;
  readonly stashZone?: string;
  readonly stashWeight?: number;
  readonly stashToken?: string;
  readonly stashCa?: string;
  readonly stashQuota?: number;
  readonly stashTlsCert?: string;
  readonly stashTlsKey?: string;
  readonly stashReplicas?: number;
}

/** Of the storage node in a server. */
export function addStashFlags(command: Command): Command {
  return command
    .option(
      '--stash <dir>',
      "keep a node of the stash there; default with file:DIR: DIR-stash, from the stash's first use on",
    )
    .option('--no-stash', 'keep no node of the stash: those of others are asked')
    .option(
      '--stash-listen <address>',
      'where other servers and nodes reach that node: :port or host:port; default loopback',
    )
    .option('--stash-advertise <host:port>', 'when they reach it at another address')
    .option('--stash-zone <name>', 'copies are spread over zones, and read from the own one first')
    .option('--stash-weight <n>', 'its share beside other nodes; default 1', Number)
    .option(
      '--stash-token <text>',
      'what nodes ask of each other and of servers (WAYMARK_STASH_TOKEN)',
      process.env['WAYMARK_STASH_TOKEN'],
    )
    .option('--stash-ca <file>', "the authority of other nodes' certificates, as PEM")
    .option('--stash-tls-cert <file>', 'that node asks for TLS: the certificate, as PEM')
    .option('--stash-tls-key <file>', 'and its key')
    .option(
      '--stash-replicas <n>',
      'copies of each entry, said by the first node; default 3',
      Number,
    )
    .option('--stash-quota <bytes>', 'take no values beyond so much; default no limit', Number);
}

export function stashOf(flags: StashFlags): ServerStashOptions {
  const { stashTlsCert: cert, stashTlsKey: key } = flags;
  if ((cert === undefined) !== (key === undefined)) {
    throw new WaymarkError('invalid', 'TLS needs --stash-tls-cert and --stash-tls-key');
  }
  return {
    directory: flags.stash,
    listen: flags.stashListen,
    advertise: flags.stashAdvertise,
    zone: flags.stashZone,
    weight: flags.stashWeight,
    token: flags.stashToken,
    ca: flags.stashCa,
    quotaBytes: flags.stashQuota,
    replicas: flags.stashReplicas,
    tls: cert === undefined || key === undefined ? undefined : { cert, key },
  };
}
