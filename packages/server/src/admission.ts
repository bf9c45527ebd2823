import { type Clock, validateWholeNumber } from 'waymark/engine';
import { Admission } from 'waymark/wire';
import type { Metrics } from './metrics.js';
import type { ServerOptions } from './server-options.js';

/** The bound of a server's work under way, over all faces. @throws {WaymarkError} `invalid` */
export function admissionOf(
  { inFlightMax, inFlightBytesMax, inFlightWaitMs }: ServerOptions,
  metrics: Metrics,
  clock: Clock,
): Admission {
  const given = { inFlightMax, inFlightBytesMax, inFlightWaitMs };
  for (const [name, value] of Object.entries(given)) validateWholeNumber(name, value);
  const known = Object.entries(given).filter(([, value]) => value !== undefined);
  const admission = new Admission(clock, Object.fromEntries(known));
  metrics.gauge('waymark_calls_in_flight', 'Calls under way.', () => admission.calls);
  metrics.gauge(
    'waymark_calls_waiting',
    'Calls that wait for their turn.',
    () => admission.waiting,
  );
  metrics.total(
    'waymark_calls_shed_total',
    'Calls refused because the server had too much to do.',
    () => admission.refused,
  );
  return admission;
}
