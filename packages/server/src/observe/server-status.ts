import type { Clock, EngineStatus } from 'waymark/engine';
import type { Cluster, ClusterStatus } from 'waymark/cluster';
import type { ObservedSeries } from '../metrics.js';
import type { WatcherService } from '../watchers/service.js';
import type { HostFigures, NamespaceActivity } from './host-figures.js';
import type { EngineFigures } from './engine-figures.js';
import { inTime, type Readiness, type ReadinessParts, type Ready } from './readiness.js';

/** How one server is, for `waymark status`, `waymark top` and the console. */
export interface ServerStatus {
  readonly version: string;
  readonly uptimeMs: number;
  /** What an acknowledged write survives, in words. */
  readonly safety: string;
  readonly ready: Pick<Ready, 'ok' | 'checks'>;
  /** Null while it does not answer. */
  readonly engine: EngineStatus | null;
  readonly connections: Connections;
  readonly cluster: Pick<ClusterStatus, 'name' | 'state' | 'why' | 'members'> | null;
  /** Null where this server delivers no registered watches. */
  readonly watchers: {
    /** Endpoints that it delivers to. */
    readonly endpoints: number;
    readonly waitingBytes: number;
    readonly lagRevisions: number;
  } | null;
  /** Its node of the stash; null: it has none. */
  readonly stash: {
    readonly state: string;
    readonly writable: boolean;
    readonly records: number;
    readonly bytes: number;
  } | null;
  readonly load: Load;
}

export interface Connections {
  readonly all: number;
  readonly binary: number;
  readonly etcd: number;
  /** Watches and messages under way over HTTP and WebSocket. */
  readonly streams: number;
}

/** Sums since the server began: who wants rates asks twice. */
export interface Load {
  readonly commits: Spread;
  readonly reads: Spread;
  readonly lockWaits: Spread;
  /** Open watches of the engine. */
  readonly watches: number;
  readonly lockWaiters: number;
  /** Those asked most, of this server. */
  readonly namespaces: readonly (NamespaceActivity & { readonly name: string })[];
}

/** A histogram: how many took as long as `boundsMs[i]` at most and longer than the bound before, and the rest. */
export interface Spread {
  readonly count: number;
  readonly sumMs: number;
  readonly boundsMs: readonly number[];
  readonly counts: readonly number[];
}

export interface StatusParts {
  readonly version: string;
  readonly readiness: Readiness;
  readonly engineFigures: EngineFigures;
  readonly hostFigures: HostFigures;
  readonly stash: ReadinessParts['stash'];
  readonly watchers: WatcherService | undefined;
  readonly cluster: Cluster | undefined;
  readonly clock: Clock;
  readonly connections: () => Connections;
}

const namespacesMax = 100;

/** Never rejects. */
export async function statusOf(parts: StatusParts): Promise<ServerStatus> {
  const { readiness } = parts;
  const [{ ok, checks, status }, cluster] = await Promise.all([readiness.look(), clusterOf(parts)]);
  return {
    version: parts.version,
    uptimeMs: Math.round(process.uptime() * 1_000),
    safety: safetyOf(status, cluster),
    ready: { ok, checks },
    engine: status,
    connections: parts.connections(),
    cluster: shortOf(cluster),
    watchers: watchersOf(parts.watchers),
    stash: stashOf(parts.stash),
    load: loadOf(parts),
  };
}

/** Null where it is none of a cluster, or does not know in time how that is. */
async function clusterOf({ cluster, clock }: StatusParts): Promise<ClusterStatus | null> {
  if (cluster === undefined) return null;
  return await inTime(clock, async () => await cluster.status()).catch(() => null);
}

function shortOf(cluster: ClusterStatus | null): ServerStatus['cluster'] {
  if (cluster === null) return null;
  const { name, state, why, members } = cluster;
  return { name, state, why, members };
}

const safeties: Readonly<Record<string, string>> = {
  memory: 'in memory: gone when the server ends',
  file: 'on the disk of this machine, flushed before it is answered',
  etcd: 'on a majority of the members of etcd',
  postgres: 'as its PostgreSQL commits',
};

function safetyOf(status: EngineStatus | null, cluster: ClusterStatus | null): string {
  if (cluster?.memory === true)
    return 'in the memory of a majority of members: gone when all end at once';
  if (status === null) return 'not known: the engine does not answer';
  return safeties[status.engine] ?? `as ${status.engine} keeps it`;
}

function watchersOf(service: WatcherService | undefined): ServerStatus['watchers'] {
  if (service === undefined) return null;
  const { tenure } = service;
  return {
    endpoints: tenure?.endpoints.length ?? 0,
    waitingBytes: tenure?.waitingBytes ?? 0,
    lagRevisions: tenure?.lagRevisions ?? 0,
  };
}

function stashOf({ service }: ReadinessParts['stash']): ServerStatus['stash'] {
  if (service === null) return null;
  const { records, bytes } = service.store.stats();
  return { state: service.state, writable: service.store.writable, records, bytes };
}

function loadOf({ engineFigures, hostFigures }: StatusParts): Load {
  const { commit, read } = engineFigures.calls;
  const named = [...hostFigures.activity].map(([name, asked]) => ({ name, ...asked }));
  const sum = ({ reads, writes, calls }: NamespaceActivity): number => reads + writes + calls;
  return {
    commits: spreadOf(commit),
    reads: spreadOf(read),
    lockWaits: spreadOf(hostFigures.lockWaits),
    watches: engineFigures.watches,
    lockWaiters: hostFigures.waiters,
    namespaces: named.sort((a, b) => sum(b) - sum(a)).slice(0, namespacesMax),
  };
}

function spreadOf({ count, sum, bounds, counts }: ObservedSeries): Spread {
  const boundsMs = bounds.map((bound) => bound * 1_000);
  return { count, sumMs: sum * 1_000, boundsMs, counts: [...counts] };
}
