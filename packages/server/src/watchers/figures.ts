import type { Labels, Metrics } from '../metrics.js';
import { publish } from '../observe/channels.js';
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
  const known = new Map<string, LabelsOfKind>();
  return (kind, outcome, count, tookMs) => {
    const labels = known.get(kind) ?? labelsOf(kind);
    known.set(kind, labels);
    deliveries.add(labels[outcome]);
    publish('delivery', () => ({ kind, outcome, events: count, tookMs }));
    seconds.observe(labels.all, tookMs / 1_000);
    if (outcome === 'accepted') events.add(labels.all, count);
  };
}

type Outcome = Parameters<SenderParts['tried']>[1];
type LabelsOfKind = Readonly<Record<Outcome | 'all', Labels>>;

function labelsOf(kind: string): LabelsOfKind {
  const of = (outcome: Outcome): Labels => ({ kind, outcome });
  const outcomes = { accepted: of('accepted'), again: of('again') };
  return { all: { kind }, ...outcomes, gone: of('gone'), refused: of('refused') };
}
