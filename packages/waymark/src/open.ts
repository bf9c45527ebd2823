import { hostname } from 'node:os';
import { systemClock, systemRandom } from './core/system-clock.js';
import type { Clock, Random } from './core/clock.js';
import type { Engine } from './core/engine.js';
import { WaymarkError } from './core/errors.js';
import { callChannel } from './core/call-channel.js';
import type { Host } from './core/host.js';
import { loadTracing } from './core/open-telemetry.js';
import { withoutPassword } from './core/shown-url.js';
import { validateWholeNumber } from './core/validate.js';
import type { HistoryBounds } from './engines/kit/keyspace.js';
import { createMemoryEngine } from './engines/memory/memory-engine.js';
import { createLocalHost } from './space/local-host.js';
import { createSpace } from './space/space.js';
import type { StashReach } from './space/stash-desk.js';
import type { Space } from './space/types.js';
import { mirror, type MirrorState } from './wrap/mirror.js';
import { traced } from './wrap/traced.js';
import { tracedHost } from './wrap/traced-host.js';

export interface OpenOptions {
  /** Who to show as holder in `explain` and events. Default: `host:pid`. */
  readonly owner?: string | undefined;
  /** How much history the memory, file and PostgreSQL engines keep at least. */
  readonly history?: HistoryBounds | undefined;
  /** File engine: 'flushed' (default) answers after fdatasync; 'async' loses the last moments in a crash. */
  readonly durability?: 'flushed' | 'async' | undefined;
  /** Told of what an operator should know: cut tails, snapshots, trouble with the disk. Default: silent. */
  readonly told?: ((message: string) => void) | undefined;
  /** On a server: the first connection must stand within this. Default 10 000. */
  readonly connectTimeoutMs?: number | undefined;
  /** On a server: the token that says who asks, where access is controlled. */
  readonly token?: string | undefined;
  /** What is there is kept in memory as well, by one watch of the engine: see `mirror` in waymark/engine. Not on a server. Default false. */
  readonly mirror?: boolean | { readonly bytesMax?: number | undefined } | undefined;
  /** How storage nodes of the stash are reached from here. A server reaches them by its own: over one this means nothing. Default: without a token, none nearer than another. */
  readonly stash?: Omit<StashReach, 'here'> | undefined;
  /** Ends the opening. */
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
}

/**
 * Opens a space.
 *
 * @param url  absent or `memory:` in this process's memory; `file:DIR` on disk, one process at a time; `etcd://host:port/root` on an
 *             etcd cluster, `cluster:DIR` as a member of one that this process runs; `postgres://host/database?schema=waymark` in a
 *             PostgreSQL database; `http://host:port` or `unix:/path` on a Waymark server, `ws://host:port` the same over WebSocket;
 *             `http://a:7420,b:7420` on one of several servers over the same engine, and on another when that fails
 * @throws {WaymarkError} `invalid` for an unknown scheme, `unavailable` when the server cannot be reached, `taken` when another
 *                        process has the directory, `corrupt` when its files are damaged
 */
export async function open(url = 'memory:', options: OpenOptions = {}): Promise<Space> {
  const {
    clock = systemClock,
    random = systemRandom,
    owner = `${hostname()}:${process.pid}`,
  } = options;
  const tracing = await loadTracing();
  const watched = (host: Host, kind: 'client' | 'internal'): Host =>
    [tracing, callChannel(clock)].reduce(
      (seen, spans) => (spans === null ? seen : tracedHost(seen, spans, kind)),
      host,
    );
  if (isServer(url)) {
    if (options.mirror !== undefined && options.mirror !== false) {
      const text = 'a mirror is of an engine: let the server have one, and its clients read stale';
      throw new WaymarkError('invalid', text);
    }
    const { connectHost } = await import('./space/remote-host.js');
    const trace = tracing === null ? undefined : () => tracing.current();
    const host = await connectHost(url, { ...options, client: owner, trace });
    return createSpace(watched(host, 'client'), { clock, random, owner });
  }
  const engine = await openEngine(url, options);
  const seen = tracing === null ? engine : traced(engine, tracing);
  const host = createLocalHost(seen, { clock, random, root: engine, stash: options.stash });
  return createSpace(watched(host, 'internal'), { clock, random, owner, engine });
}

/** The engine alone, for a server or a tool. @throws as `open` */
export async function openEngine(url: string, options: OpenOptions = {}): Promise<Engine> {
  const { mirror: mirrored = false, clock, told } = options;
  const engine = await openScheme(url, options);
  if (mirrored === false) return engine;
  const bytesMax = mirrored === true ? undefined : mirrored.bytesMax;
  try {
    return mirror(engine, {
      clock,
      bytesMax,
      told: ({ state, message }) => told?.(`the mirror is ${wordOf[state]}: ${message}`),
    });
  } catch (error) {
    await engine[Symbol.asyncDispose]();
    throw error;
  }
}

const wordOf: Record<MirrorState, string> = {
  building: 'being built',
  standing: 'standing',
  behind: 'behind',
  let_go: 'let go',
};

async function openScheme(url: string, options: OpenOptions): Promise<Engine> {
  options.signal?.throwIfAborted();
  validateWholeNumber('history.revisions', options.history?.revisions);
  validateWholeNumber('history.bytes', options.history?.bytes);
  validateWholeNumber('history.neededMax.revisions', options.history?.neededMax?.revisions);
  validateWholeNumber('history.neededMax.bytes', options.history?.neededMax?.bytes);
  if (url === 'memory' || url === 'memory:') return createMemoryEngine(options);
  if (url.startsWith('file:')) {
    const { openFileEngine } = await import('./engines/file/file-engine.js');
    return await openFileEngine(directoryOf(url), options);
  }
  if (/^etcds?:/.test(url)) {
    const { openEtcdEngine } = await import('./engines/etcd/etcd-engine.js');
    return await openEtcdEngine(url, options);
  }
  if (url.startsWith('cluster:')) {
    const { openCluster } = await import('./cluster/cluster.js');
    return (await openCluster(url, options)).engine;
  }
  if (/^postgres(ql)?:/.test(url)) {
    const { openPostgresEngine } = await import('./engines/postgres/postgres-engine.js');
    return await openPostgresEngine(url, options);
  }
  if (isServer(url)) {
    const { openRemoteEngine } = await import('./engines/remote/remote-engine.js');
    return await openRemoteEngine(url, options);
  }
  throw new WaymarkError(
    'invalid',
    `no engine for '${withoutPassword(url)}': take memory:, file:DIR, etcd://host:port, cluster:DIR, postgres://host/database, http://host:port, ws://host:port or unix:/path`,
  );
}

function isServer(url: string): boolean {
  return /^(https?|wss?|tcp):\/\/|^unix:/.test(url);
}

/** `file:./state`, `file:/var/lib/state` and `file:///var/lib/state` alike. */
function directoryOf(url: string): string {
  const path = url.slice('file:'.length).replace(/^\/\/(?=\/)/, '');
  if (path !== '') return path;
  throw new WaymarkError('invalid', 'file: needs a directory, as in file:./state');
}
