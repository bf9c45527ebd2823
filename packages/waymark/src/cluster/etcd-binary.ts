import { execFile } from 'node:child_process';
import { WaymarkError } from '../core/errors.js';
import { etcdTlsFlags, schemeOf } from './cluster-tls.js';
import { hostPort, type MemberFile, peerUrl } from './member-file.js';

const install =
  'install etcd 3.4 or newer (Debian and Ubuntu: apt-get install etcd-server, or a release of etcd-io/etcd), or name it by --etcd-bin';
const answerMsMax = 10_000;

/**
 * @returns its version, `3.4.23`
 * @throws {WaymarkError} `invalid` when there is none, it is something else, or one without learners
 */
export async function etcdVersion(binary: string): Promise<string> {
  const said = await new Promise<string>((resolve, reject) => {
    execFile(binary, ['--version'], { timeout: answerMsMax }, (error, out) => {
      if (error === null) return resolve(out);
      const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
      const why = missing ? `there is no etcd at '${binary}'` : `'${binary}' does not run`;
      reject(new WaymarkError('invalid', `${why}: ${install}`, {}, error));
    });
  });
  const [, version, major, minor] = /etcd Version: ((\d+)\.(\d+)\.\d+\S*)/.exec(said) ?? [];
  if (version === undefined)
    throw new WaymarkError('invalid', `'${binary}' is not etcd: ${install}`);
  if (Number(major) * 1_000 + Number(minor) < 3_004) {
    const text = `'${binary}' is etcd ${version}, which lets nobody join safely (no learners): ${install}`;
    throw new WaymarkError('invalid', text);
  }
  return version;
}

/** History that etcd keeps for watches that fell behind, in revisions; looked at each 5 min. */
const keptRevisions = 100_000;
/** etcd adds checks and operations up along the nesting, Waymark each of them for itself. */
const txnOpsMax = 16_384;
const quotaBytes = { disk: 8 * 1_024 ** 3, memory: 1_024 ** 3 } as const;

/** How the etcd of a member is started. */
export function etcdFlags(member: MemberFile): string[] {
  const { name, bind, data, memory } = member;
  const scheme = schemeOf(member);
  const clients = `${scheme}://${hostPort(bind, member.clientPort)}`;
  return [
    `--name=${name}`,
    `--data-dir=${data}`,
    `--listen-client-urls=${clients}`,
    `--advertise-client-urls=${scheme}://${hostPort(member.advertise, member.clientPort)}`,
    `--listen-peer-urls=${scheme}://${hostPort(bind, member.peerPort)}`,
    `--initial-advertise-peer-urls=${peerUrl(member)}`,
    `--initial-cluster=${member.initialCluster}`,
    `--initial-cluster-state=${member.cluster}`,
    `--initial-cluster-token=${member.clusterToken}`,
    // A member that was cut off does not force an election when it is back.
    '--pre-vote',
    '--heartbeat-interval=100',
    '--election-timeout=1000',
    '--auto-compaction-mode=revision',
    `--auto-compaction-retention=${keptRevisions}`,
    `--quota-backend-bytes=${memory ? quotaBytes.memory : quotaBytes.disk}`,
    // Waymark's own limits are lower, and the same on every engine.
    `--max-txn-ops=${txnOpsMax}`,
    ...etcdTlsFlags(member),
    '--logger=zap',
    '--log-level=warn',
    '--log-outputs=stderr',
    ...(memory ? ['--unsafe-no-fsync', '--snapshot-count=10000'] : []),
  ];
}
