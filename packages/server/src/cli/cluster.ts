import { resolve } from 'node:path';
import type { Command } from 'commander';
import { WaymarkError } from 'waymark';
import type { ClusterStatus, MakeMemberOptions } from 'waymark/cluster';
import { systemRandom } from 'waymark/engine';
import { print, secondsMs } from './context.js';
import type { Run } from './program.js';

/** Loaded by these commands alone: it brings the client of etcd along. */
const loadCluster = () => import('waymark/cluster');

interface MemberOptions {
  readonly name?: string;
  readonly memory?: boolean;
  readonly advertise?: string;
  readonly bind?: string;
  readonly clientPort?: number;
  readonly peerPort?: number;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
  readonly insecure: boolean;
  readonly etcdBin: string;
}

/** Servers that run an etcd of their own each: what makes a directory a member, and what a running one is told. */
export function clusterCommands(program: Command, run: Run): void {
  const group = program
    .command('cluster')
    .description('servers that need no other infrastructure: each runs one member of an etcd')
    .addHelpText(
      'after',
      `
Examples:
  waymark cluster init ./a && waymark serve --cluster ./a
  waymark cluster token ./a                                  on the first machine: a token, for one
  waymark cluster join ./b --from http://HOST:7420 --token T on the second
  waymark serve --cluster ./b --listen 127.0.0.1:7421`,
    );
  init(group, run);
  joinCommand(group, run);
  token(group, run);
  status(group, run);
  leave(group, run);
  recover(group, run);
}

function memberOptions(command: Command): Command {
  return command
    .option('--name <name>', 'what the member is called; default a random one')
    .option('--memory', 'data in tmpfs without fsync: gone when all members are at once')
    .option('--advertise <host>', 'where the other members reach this one; default 127.0.0.1')
    .option('--bind <ip>', 'what etcd listens on; default the advertised address')
    .option('--client-port <n>', 'of etcd, for Waymark; default a free one', Number)
    .option('--peer-port <n>', 'of etcd, for the other members; default a free one', Number)
    .option('--tls-cert <file>', 'PEM: who this member is, to the others and to clients')
    .option('--tls-key <file>', 'PEM')
    .option('--tls-ca <file>', 'PEM: the authority that all members are under')
    .option('--insecure', 'etcd may be reached from other machines, without TLS or password', false)
    .option('--etcd-bin <path>', 'the etcd to run, 3.4 or newer', 'etcd');
}

async function prepared(command: Command): Promise<Omit<MakeMemberOptions, 'entry'>> {
  const { insecure, etcdBin, ...given } = command.opts<MemberOptions>();
  const { name, memory, advertise, bind, clientPort, peerPort } = given;
  const [tlsCert, tlsKey, tlsCa] = [given.tlsCert, given.tlsKey, given.tlsCa].map((file) =>
    file === undefined ? undefined : resolve(file),
  );
  const tls = { tlsCert, tlsKey, tlsCa };
  const asked = { name, memory, advertise, bind, clientPort, peerPort, ...tls };
  const { checkSettings, etcdVersion } = await loadCluster();
  const settings = checkSettings(asked, insecure);
  await etcdVersion(etcdBin);
  return { directory: resolve(directoryOf(command)), settings, random: systemRandom };
}

function init(group: Command, run: Run): void {
  const command = memberOptions(
    group.command('init <dir>').description('begin a cluster: make a directory its first member'),
  );
  command.action(
    run(async (options) => {
      const asked = await prepared(command);
      const { directory } = asked;
      const { makeMember } = await loadCluster();
      const { name, memory } = await makeMember({ ...asked, entry: 'init' });
      const text = `${directory} is member ${name} of a new cluster. Now: waymark serve --cluster ${directory}`;
      print(options, { name, directory, memory }, warned(text, memory));
    }),
  );
}

function joinCommand(group: Command, run: Run): void {
  const command = memberOptions(
    group
      .command('join <dir>')
      .description('make a directory one more member of a cluster')
      .requiredOption('--from <url>', 'any server of the cluster, http://host:port')
      .requiredOption('--token <token>', 'what `waymark cluster token` printed there; used once'),
  );
  command.action(
    run(async (options) => {
      const { from, token: given } = command.opts<{ from: string; token: string }>();
      const asked = await prepared(command);
      const { directory } = asked;
      const entry = { from, token: given };
      const { makeMember } = await loadCluster();
      const { name, memory, members } = await makeMember({ ...asked, entry });
      const text = `${directory} is member ${name}, of ${members.length}. Now, within 5 minutes: waymark serve --cluster ${directory}`;
      print(options, { name, directory, memory, members: members.length }, warned(text, memory));
    }),
  );
}

function warned(text: string, memory: boolean): string {
  return memory
    ? `${text}\nIts data lies in memory and is never synced: gone when all members are at once.`
    : text;
}

function token(group: Command, run: Run): void {
  const command = group
    .command('token <dir>')
    .description('print a token by which one member can join')
    .option('--ttl <duration>', 'how long it can be used, 1s to 168h', '10m');
  command.action(
    run(async (options) => {
      const ttlMs = secondsMs(command.opts<{ ttl: string }>().ttl);
      const answer = await ask(command, 'token', { ttlMs });
      print(options, { ...answer, ttlMs }, String(answer['token']));
    }),
  );
}

function status(group: Command, run: Run): void {
  const command = group
    .command('status <dir>')
    .description('who is a member, who answers, who leads, and what is wrong; exit code 1 then');
  command.action(
    run(async (options) => {
      const answer = (await ask(command, 'status')) as unknown as ClusterStatus;
      print(options, answer, describe(answer));
      return answer.why === null ? 0 : 1;
    }),
  );
}

function leave(group: Command, run: Run): void {
  const command = group
    .command('leave <dir>')
    .description('take the member of a directory out of its cluster; its server ends')
    .option('--member <name>', 'take out another one, that is gone for good')
    .option('--force', 'also when those who stay would be too few, or cannot be asked', false);
  command.action(
    run(async (options) => {
      const { member, force } = command.opts<{ member?: string; force: boolean }>();
      const answer = await ask(command, 'leave', { member, force });
      print(options, answer, `${String(answer['left'])} is no member any more`);
    }),
  );
}

function recover(group: Command, run: Run): void {
  const command = group
    .command('recover <dir>')
    .description('when the majority is gone for good: go on with this member alone')
    .option('--yes', 'the others are ended, and will not come back', false);
  command.action(
    run(async (options) => {
      const { yes } = command.opts<{ yes: boolean }>();
      const answer = await ask(command, 'recover', { yes });
      const text = `${String(answer['recovered'])} goes on alone. Let others join again: waymark cluster token`;
      print(options, answer, text);
    }),
  );
}

function describe(status: ClusterStatus): string {
  const { name, state, why, version, memory, autoRecoverMs, members, tokens } = status;
  const lines = members.map((member) => {
    const facts = [
      member.answers ? 'answers' : 'silent',
      ...(member.leads ? ['leads'] : []),
      ...(member.learner ? ['no vote yet'] : []),
      ...(member.name === name ? ['this one'] : []),
    ];
    const urls = [...member.clientUrls, ...member.peerUrls].join(' ');
    return `${(member.name || member.id).padEnd(20)} ${urls}  ${facts.join(', ')}`;
  });
  return [
    `${name}: ${state}, etcd ${version}${tokens === null ? '' : `, ${tokens} open tokens`}`,
    ...(memory ? ['DATA IN MEMORY, NEVER SYNCED: gone when all members are at once'] : []),
    ...(autoRecoverMs === null
      ? []
      : [`auto-recover after ${autoRecoverMs} ms: two clusters may come of it`]),
    ...lines,
    ...(why === null ? [] : [`WRONG: ${why}`]),
  ].join('\n');
}

async function ask(
  command: Command,
  verb: 'status' | 'token' | 'leave' | 'recover',
  body: object = {},
): Promise<Record<string, unknown>> {
  const { askMember } = await loadCluster();
  return await askMember(directoryOf(command), verb, body);
}

function directoryOf(command: Command): string {
  const [directory] = command.processedArgs as [string];
  if (directory !== '') return directory;
  throw new WaymarkError('invalid', 'name the directory of the member');
}
