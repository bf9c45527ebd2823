import type { TraceContext, Tracing } from 'waymark/engine';
import type { Delivery } from '../endpoints/endpoint.js';

/**
 * A try as a span: beneath the commit that its first event tells of, and linked to the others, as far as they were made within traces on this
 * server. Events carry the context of their commits, as CloudEvents' extension for distributed tracing has it; requests that of the try.
 */
export async function traceDelivery(
  tracing: Tracing,
  kind: string,
  delivery: Delivery,
  deliver: (delivery: Delivery) => Promise<void>,
): Promise<void> {
  const traces = new Map<number, TraceContext>();
  for (const { revision } of delivery.events) {
    const trace = tracing.commitOf(revision);
    if (trace !== null) traces.set(revision, trace);
  }
  const [parent, ...links] = traces.values();
  if (parent === undefined) return await deliver(delivery);
  const events = delivery.events.map((event) => {
    const trace = traces.get(event.revision);
    return trace === undefined ? event : { ...event, trace };
  });
  const attributes = {
    'waymark.endpoint.kind': kind,
    'waymark.attempt': delivery.attempt,
    'messaging.batch.message_count': events.length,
  };
  await tracing.span('waymark.deliver', { kind: 'producer', parent, links, attributes }, () => {
    const trace = tracing.current();
    return deliver({ ...delivery, events, ...(trace !== null && { trace }) });
  });
}
