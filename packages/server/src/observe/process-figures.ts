import { readdirSync, readFileSync } from 'node:fs';
import { constants, monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks';
import type { Clock } from 'waymark/engine';
import type { Labels, Metrics } from '../metrics.js';

/** Samples of the event loop's delay are so far apart: the delay is told beyond this. */
const resolutionMs = 20;

/**
 * Figures of the process, under the names that Prometheus clients of Node have for them. `etcdctl check datascale` reads the resident memory.
 *
 * @returns ends what it observes
 */
export function describeProcess(metrics: Metrics, clock: Clock): () => void {
  describeMemory(metrics);
  describeHandles(metrics);
  const began = clock.wallNow() / 1_000 - process.uptime();
  const start = 'When the process began, Unix time.';
  metrics.gauge('process_start_time_seconds', start, () => Math.round(began * 1_000) / 1_000);
  metrics.total('process_cpu_seconds_total', 'Time on a processor, user and system.', () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1_000_000;
  });
  const endLoop = describeLoop(metrics);
  const endCollections = describeCollections(metrics);
  return () => {
    endLoop();
    endCollections();
  };
}

function describeMemory(metrics: Metrics): void {
  metrics.gauge('process_resident_memory_bytes', 'Resident memory of the process.', () =>
    process.memoryUsage.rss(),
  );
  const heap = 'The heap of JavaScript, reserved and used.';
  metrics.gauge('nodejs_heap_size_total_bytes', heap, () => process.memoryUsage().heapTotal);
  metrics.gauge('nodejs_heap_size_used_bytes', heap, () => process.memoryUsage().heapUsed);
  const external = 'Memory outside the heap that JavaScript holds: buffers.';
  metrics.gauge('nodejs_external_memory_bytes', external, () => process.memoryUsage().external);
}

function describeHandles(metrics: Metrics): void {
  metrics.gauges('nodejs_active_resources', 'What keeps the event loop going, by kind.', () => {
    const kinds = new Map<string, number>();
    for (const kind of process.getActiveResourcesInfo())
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    return [...kinds].map(([type, count]): [Labels, number] => [{ type }, count]);
  });
  metrics.gauge('process_open_fds', 'Open file descriptors.', openFiles);
  const most = filesMax();
  metrics.gauge('process_max_fds', 'How many may be open.', () => most);
}

function openFiles(): number | null {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    return null;
  }
}

function filesMax(): number | null {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
    return soft === undefined ? null : Number(soft);
  } catch {
    return null;
  }
}

/** Each scrape tells of the time since the one before. */
function describeLoop(metrics: Metrics): () => void {
  const delay = monitorEventLoopDelay({ resolution: resolutionMs });
  delay.enable();
  const seconds = (ns: number): number | null =>
    Number.isFinite(ns) ? Math.max(0, ns / 1e9 - resolutionMs / 1_000) : null;
  const late = 'How late the event loop was since the last scrape';
  metrics.gauge('nodejs_eventloop_lag_mean_seconds', `${late}, on average.`, () =>
    seconds(delay.mean),
  );
  metrics.gauge('nodejs_eventloop_lag_p99_seconds', `${late}, all but one time in 100.`, () =>
    seconds(delay.percentile(99)),
  );
  metrics.gauge('nodejs_eventloop_lag_max_seconds', `${late}, at most.`, () => {
    const most = delay.max;
    delay.reset();
    return seconds(most);
  });
  return () => delay.disable();
}

const kinds: Readonly<Record<number, string>> = {
  [constants.NODE_PERFORMANCE_GC_MAJOR]: 'major',
  [constants.NODE_PERFORMANCE_GC_MINOR]: 'minor',
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL]: 'incremental',
  [constants.NODE_PERFORMANCE_GC_WEAKCB]: 'weakcb',
};

function describeCollections(metrics: Metrics): () => void {
  const seconds = metrics.histogram(
    'nodejs_gc_duration_seconds',
    'Time that collections of garbage took, by kind.',
    [0.001, 0.01, 0.1, 1, 2, 5],
  );
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { detail } = entry as { readonly detail?: unknown } & typeof entry;
      const { kind } = detail as { readonly kind: number };
      seconds.observe({ kind: kinds[kind] ?? 'other' }, entry.duration / 1_000);
    }
  });
  observer.observe({ entryTypes: ['gc'] });
  return () => observer.disconnect();
}
