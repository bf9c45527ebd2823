import type { Clock, EngineStatus, Host } from 'waymark/engine';
import type { Metrics } from './metrics.js';
import type { Connections } from './observe/server-status.js';

/** How long a scrape waits for an engine that is elsewhere. */
const statusMsMax = 3_000;

/** The figures of a server that are asked for at each scrape. Those of an engine that does not answer are left out. */
export function describe(
  metrics: Metrics,
  { host, clock }: { readonly host: Host; readonly clock: Clock },
  connections: () => Connections,
): void {
  const status = oncePerScrape(host, clock);
  const figure =
    (name: 'revision' | 'compacted' | 'keys' | 'leases' | 'bytes') =>
    async (): Promise<number | null> =>
      (await status())?.[name] ?? null;
  metrics.gauge('waymark_connections', 'Open connections.', () => connections().all);
  metrics.gauge(
    'waymark_binary_connections',
    'Of these, with the binary protocol.',
    () => connections().binary,
  );
  metrics.gauge('waymark_etcd_connections', "Of these, with etcd's API.", () => connections().etcd);
  metrics.gauge(
    'waymark_watch_streams',
    'Watches and messages under way over HTTP and WebSocket.',
    () => connections().streams,
  );
  metrics.gauge('waymark_engine_up', 'Whether the engine answers: 1 or 0.', async () =>
    (await status()) === null ? 0 : 1,
  );
  metrics.gauge('waymark_revision', 'The newest revision.', figure('revision'));
  metrics.gauge('waymark_compacted_revision', 'History below this is gone.', figure('compacted'));
  metrics.gauge('waymark_keys', 'Live keys.', figure('keys'));
  metrics.gauge('waymark_leases', 'Live leases.', figure('leases'));
  metrics.gauge('waymark_bytes', 'Bytes of live keys and values.', figure('bytes'));
}

/** The engine is asked once for all figures of a scrape, which are read one behind the other. */
function oncePerScrape(host: Host, clock: Clock): () => Promise<EngineStatus | null> {
  let asked: Promise<EngineStatus | null> | null = null;
  return () => {
    if (asked !== null) return asked;
    const late = new AbortController();
    const disarm = clock.after(statusMsMax, () => late.abort(), true);
    asked = host
      .status({ signal: late.signal })
      .catch(() => null)
      .finally(() => {
        disarm();
        clock.nextTurn(() => (asked = null));
      });
    return asked;
  };
}
