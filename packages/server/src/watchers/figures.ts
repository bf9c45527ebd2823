import type { Labels, Metrics } from '../metrics.js';
import type { SenderParts } from './sender.js';
import type { WatcherService } from './service.js';

/** What is told of deliveries to whoever measures. @returns counts tries */
export function describeWatchers(metrics: Metrics, service: WatcherService): SenderParts['tried'] {
  metrics.gauge(
    'waymark_watchers_endpoints_held',
    'Endpoints that this process delivers to.',
    () => service.tenure?.endpoints.length ?? 0,
  );
  metrics.gauge(
    'waymark_watchers_waiting_bytes',
    'What waits in memory to be delivered.',
    () => service.tenure?.waitingBytes ?? 0,
  );
  metrics.gauge(
    'waymark_watchers_lag_revisions',
    'How far the endpoint that is farthest behind is behind.',
    () => service.tenure?.lagRevisions ?? 0,
  );
  const deliveries = metrics.counter(
    'waymark_watchers_deliveries_total',
    'Tries to deliver, by kind of endpoint and outcome.',
  );
  const events = metrics.counter(
    'waymark_watchers_events_total',
    'Events that endpoints have accepted, by their kind.',
  );
  const seconds = metrics.histogram(
    'waymark_watchers_delivery_seconds',
    'Time of one try to deliver, by kind of endpoint.',
  );
  const labels = new Map<string, Labels>();
  const labelsOf = (kind: string, outcome?: string): Labels => {
    const name = `${kind} ${outcome}`;
    const known = labels.get(name) ?? { kind, ...(outcome !== undefined && { outcome }) };
    labels.set(name, known);
    return known;
  };
  return (kind, outcome, count, tookMs) => {
    deliveries.add(labelsOf(kind, outcome));
    seconds.observe(labelsOf(kind), tookMs / 1_000);
    if (outcome === 'accepted') events.add(labelsOf(kind), count);
  };
}
