import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startServer } from '@waymark/server';
import { startEtcd as startWaymark } from '@waymark/server/testing';
import { describe, expect, test } from 'vitest';
import { startEtcd } from '../support/etcd.js';
import { orNotRun } from '../support/not-run.js';
import { differing, plain } from './etcdctl-plain.js';

/** A command that lasts has said what it had to say once it is silent for so long; the first word may take longer. */
const quietMs = 500;
const patienceMs = 10_000;

/**
 * What people do with etcdctl, one command after the other, against Waymark and against the etcd that etcdctl belongs to. What each prints is
 * compared as it stands, but for what etcdctl-plain.ts lists.
 */
type Step = readonly [arguments_: string, stdin?: string];

/** Stands for the id of the lease that was granted last, there. */
const lastLease = 'LEASE';

const data: readonly Step[] = [
  ['put foo bar'],
  ['put foo baz --prev-kv'],
  ['put foo --ignore-value', ''],
  ['put absent --ignore-value', ''],
  ['put a1 1'],
  ['put a2 2'],
  ['put a3 -- -3'],
  ['get foo'],
  ['get foo -w json'],
  ['get foo -w fields'],
  ['get foo -w simple --hex'],
  ['get foo --print-value-only'],
  ['get a --prefix'],
  ['get a1 a3'],
  ['get a2 --from-key'],
  ['get a --prefix --keys-only'],
  ['get a --prefix --limit=2'],
  ['get a --prefix --order=DESCEND --sort-by=CREATE'],
  ['get a --prefix --sort-by=VALUE --order=ASCEND'],
  ['get foo --rev=2'],
  ['get foo --rev=100'],
  ['get foo --consistency=s'],
  ['del a1 --prev-kv'],
  ['del a --prefix'],
  ['del nothing'],
  ['txn', 'mod("foo") > "0"\nversion("foo") = "3"\n\nput foo swapped\nget foo\n\nput foo lost\n\n'],
  ['txn', 'value("foo") = "other"\n\nput foo lost\n\nget foo\ndel foo\n\n'],
  ['txn -w json', 'create("foo") = "0"\n\nput foo new\nget foo\n\nget foo\n\n'],
  ['txn', 'bad\n\n\n\n'],
  ['put k "" --lease=123'],
  ['get "" --prefix --count-only -w fields'],
  ['compaction 5'],
  ['compaction 5'],
  ['compaction 500'],
  ['get foo --rev=3'],
  ['check datascale --load=unknown'],
];

const leases: readonly Step[] = [
  ['lease grant 100'],
  ['lease grant 0'],
  ['lease grant 9000000001'],
  ['lease list'],
  ['lease revoke 7f'],
  ['lease timetolive 7f'],
  ['lease timetolive 7f --keys'],
  ['lease keep-alive --once 7f'],
  ['lease grant 200'],
  [`put foo bar --lease=${lastLease}`],
  [`put bar baz --lease=${lastLease}`],
  [`lease keep-alive --once ${lastLease}`],
  ['get foo -w fields'],
  [`lease revoke ${lastLease}`],
  ['get "" --prefix'],
  [`lease revoke ${lastLease}`],
  [`lease timetolive ${lastLease} --keys`],
];

const members: readonly Step[] = [
  ['put foo bar'],
  ...formats('endpoint status'),
  ['endpoint status --cluster'],
  ...formats('endpoint health'),
  ['endpoint health --cluster'],
  ...formats('endpoint hashkv'),
  ['endpoint hashkv --rev=2'],
  ['endpoint hashkv --rev=500'],
  ...formats('member list'),
  ['member add two --peer-urls=nowhere'],
  ['member remove 7b'],
  ['member update 7b --peer-urls=http://127.0.0.1:1'],
  ['member promote 7b'],
  ['compaction 2 --physical'],
  ['endpoint hashkv --rev=1'],
  ['alarm list'],
  ['alarm disarm'],
  ['move-leader 7b'],
  ['defrag'],
  ['defrag --cluster'],
];

/** What etcd has since 3.5: before, alarms come without a header. */
const since35: readonly Step[] = [
  ['alarm list -w json'],
  ['alarm disarm -w json'],
  ['auth status'],
  ['auth status -w json'],
];

const users: readonly Step[] = [
  ['role add reader'],
  ['role add reader'],
  ['role grant-permission reader read foo'],
  ['role grant-permission reader readwrite a --prefix'],
  ['role grant-permission reader write b c'],
  ['role grant-permission nobody read foo'],
  ['role get reader'],
  ['role list'],
  ['role revoke-permission reader foo'],
  ['role revoke-permission reader foo'],
  ['role get nobody'],
  ['user add rita:secret'],
  ['user add rita:secret'],
  ['user add nopassword --no-password'],
  ['user grant-role rita reader'],
  ['user grant-role rita nobody'],
  ['user get rita'],
  ['user get rita --detail'],
  ['user list'],
  ['user passwd rita --interactive=false', 'better\n'],
  ['user revoke-role rita nobody'],
  ['auth enable'],
  ['user add root:root'],
  ['auth enable'],
  ['user grant-role root root'],
  ['auth enable'],
  ['get foo'],
  ['--user=rita:wrong get foo'],
  ['--user=rita:better get foo'],
  ['--user=rita:better put a1 mine'],
  ['--user=rita:better get a1'],
  ['--user=rita:better user list'],
  ['--user=root:root user list'],
  ['--user=root:root user delete rita'],
  ['--user=root:root role delete reader'],
  ['--user=root:root role list'],
  ['--user=root:root auth disable'],
  ['auth disable'],
];

/** They ask the server for what it measures, and write what they read. */
const checks: readonly Step[] = [
  ['check datascale --load=s --auto-compact --auto-defrag'],
  ['get "" --prefix --count-only -w fields'],
  ['check perf --load=s --auto-compact --auto-defrag'],
  ['get "" --prefix --count-only -w fields'],
];

/** Commands that stay until they are ended: what they have told by then. */
const lasting: readonly Step[] = [
  ['watch w --prefix --rev=2'],
  ['watch w --prefix --rev=2 --prev-kv'],
  ['watch w1 w3 --rev=2'],
  ['watch w1 --rev=2 -w json'],
  ['watch -i', 'watch w2 --rev=2\n'],
  ['elect leader me'],
];
const written: readonly Step[] = [
  ['put w1 a'],
  ['put w2 b'],
  ['put w1 c'],
  ['del w1'],
  ['put w3 d'],
];
const held: readonly Step[] = [
  ['lock mutex -- echo held'],
  ['lock mutex --ttl=5 -- sh -c exit'],
  ['get mutex --prefix --keys-only'],
];

function formats(command: string): Step[] {
  return ['simple', 'json', 'table', 'fields'].map((format): Step => [`${command} -w ${format}`]);
}

interface Told {
  readonly command: string;
  readonly code: number;
  readonly told: string;
}

/** As it was printed. */
interface Ran {
  readonly code: number;
  readonly raw: string;
}

test('what differs by nature is listed with its reason', async () => {
  const page = await readFile(new URL('../../docs/reference/etcd.md', import.meta.url), 'utf8');
  const [, section = ''] = page.split('## etcdctl, side by side');
  const rows = section.split('\n## ')[0]?.matchAll(/^\| ([^|]+) \|/gm) ?? [];
  const listed = [...rows]
    .map(([, name]) => name)
    .filter((name) => !/^(differs|---)$/.test(name ?? ''));
  expect(listed).toEqual(Object.keys(differing));
});

const present: (readonly [version: '3.4' | '3.5', etcdctl: string])[] = [];
for (const version of ['3.4', '3.5'] as const) {
  const found = orNotRun(`etcd-${version}`, `etcdctl ${version}`);
  if (found === null) continue;
  const etcdctl = join(found.directory, 'etcdctl');
  present.push([version, etcdctl]);
  describe(`etcdctl ${version}`, () => {
    test.each([
      ['keys and transactions', data],
      ['leases', leases],
      ['members', version === '3.5' ? [...members, ...since35] : members],
      ['users and roles', users],
    ] as const)('%s', { timeout: 120_000 }, async (_, steps) => {
      await beside(version, (address) => runAll(etcdctl, address, steps));
    });

    test('snapshots: saved, and of another kind', { timeout: 120_000 }, async () => {
      const folder = await mkdtemp(join(tmpdir(), 'waymark-etcdctl-'));
      const status: Record<string, number> = {};
      await beside(version, async (address) => {
        const file = join(folder, address);
        await run(etcdctl, address, 'put foo bar');
        const saved = await run(etcdctl, address, `snapshot save ${file}`);
        status[address] = (await run(etcdctl, address, `snapshot status ${file}`)).code;
        return [saved.code, plain(saved.raw, address)];
      });
      expect(Object.values(status).toSorted()).toEqual([0, expect.any(Number)]);
      expect(Object.values(status)).not.toEqual([0, 0]);
      await rm(folder, { recursive: true });
    });

    test('locks', { timeout: 120_000 }, async () => {
      await beside(version, (address) => runAll(etcdctl, address, held));
    });

    test('watches and elections', { timeout: 120_000 }, async () => {
      await beside(version, async (address) => {
        await runAll(etcdctl, address, written);
        const told: string[] = [];
        for (const step of lasting) told.push(await listen(etcdctl, address, step));
        expect(told).not.toContain('');
        return told;
      });
    });
  });
}

// Each takes a minute at etcdctl's own pace.
test.concurrent.each(present)(
  'etcdctl %s: checks',
  { timeout: 300_000 },
  async (version, etcdctl) => {
    const judged = async (address: string) => {
      const told = await runAll(etcdctl, address, checks);
      return told.map((one) => (one.told.includes('JUDGED') ? { ...one, code: 0 } : one));
    };
    await beside(version, judged, startWhole);
  },
);

/** The whole server, which has metrics too. */
async function startWhole(): Promise<{ address: string; close(): Promise<void> }> {
  const { addresses, close } = await startServer({
    engine: 'memory',
    listen: ['127.0.0.1:0'],
    allowEngine: false,
    logLevel: 'silent',
  });
  return { address: addresses[0] ?? '', close };
}

async function beside(
  version: '3.4' | '3.5',
  what: (address: string) => Promise<unknown>,
  start: () => Promise<{ address: string; close(): Promise<void> }> = startWaymark,
): Promise<void> {
  const waymark = await start();
  const etcd = await startEtcd({ version });
  try {
    const [ours, theirs] = await Promise.all([what(waymark.address), what(etcd.address)]);
    expect(ours).toEqual(theirs);
  } finally {
    await waymark.close();
    await etcd.stop();
  }
}

/** What a command tells until it has been silent for a while, ended then. */
function listen(etcdctl: string, address: string, [command, stdin = '']: Step): Promise<string> {
  const env = { ...process.env, ETCDCTL_API: '3' };
  const child = spawn(etcdctl, [`--endpoints=${address}`, ...command.split(' ')], { env });
  let told = '';
  return new Promise((resolve) => {
    let quiet = setTimeout(end, patienceMs);
    function end(): void {
      child.kill('SIGKILL');
      resolve(plain(told, address));
    }
    child.stdout.on('data', (bytes: Buffer) => {
      told += bytes.toString();
      clearTimeout(quiet);
      quiet = setTimeout(end, quietMs);
    });
    child.stdin.write(stdin);
  });
}

async function runAll(etcdctl: string, address: string, steps: readonly Step[]): Promise<Told[]> {
  const told: Told[] = [];
  let lease = '';
  for (const [command, stdin] of steps) {
    const one = await run(etcdctl, address, command.replace(lastLease, lease), stdin);
    lease = /^lease ([0-9a-f]+) granted/.exec(one.raw)?.[1] ?? lease;
    told.push({ command, code: one.code, told: plain(one.raw, address) });
  }
  return told;
}

function run(etcdctl: string, address: string, command: string, stdin = ''): Promise<Ran> {
  const args = [
    `--endpoints=${address}`,
    // A loaded machine is slow to hash a password.
    '--command-timeout=60s',
    '--dial-timeout=60s',
    ...command.split(' ').map((one) => (one === '""' ? '' : one)),
  ];
  const env = { ...process.env, ETCDCTL_API: '3' };
  return new Promise((resolve) => {
    const child = execFile(etcdctl, args, { env, timeout: 120_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : Number(error.code ?? -1);
      resolve({ code, raw: `${stdout}${lastLine(stderr)}` });
    });
    // A command that reads no input may end before it is written.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(stdin);
  });
}

/** Before it, etcdctl logs for whoever mends it. */
function lastLine(stderr: string): string {
  return stderr
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('{'))
    .join('\n');
}
