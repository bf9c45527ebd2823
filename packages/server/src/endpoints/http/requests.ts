import type { DeliveredEvent, Delivery, EndpointSettings } from '../endpoint.js';
import {
  batchDocument,
  batchType,
  contentTypeOf,
  documentType,
  eventAttributes,
  eventDocument,
  headerValue,
} from '../kit/cloud-events.js';
import type { Signer } from './signer.js';

export interface HttpRequest {
  readonly headers: Record<string, string>;
  readonly body: Uint8Array;
}

interface Message {
  /** No full stop, which ends it in what is signed. */
  readonly id: string;
  readonly body: Uint8Array;
  /** What only this message has; the common ones are added. */
  readonly headers: Record<string, string>;
  readonly events: readonly DeliveredEvent[];
}

/** What one delivery is on the wire: one request in structured mode, and one an event in binary mode. */
export function* requestsOf(
  delivery: Delivery,
  format: EndpointSettings['format'],
  signer: Signer | null,
): Generator<HttpRequest> {
  const messages = format === 'binary' ? binary(delivery) : [structured(delivery)];
  for (const { id, body, headers, events } of messages) {
    const seconds = Math.floor(delivery.sentAt / 1_000);
    headers['webhook-id'] = id;
    headers['webhook-timestamp'] = String(seconds);
    if (signer !== null) headers['webhook-signature'] = signer(id, seconds, body);
    headers['user-agent'] = 'waymark';
    tellPlace(headers, delivery, events);
    yield { headers, body };
  }
}

function structured(delivery: Delivery): Message {
  const { events } = delivery;
  const [first] = events;
  const alone = first !== undefined && events.length === 1;
  const text = alone ? eventDocument(delivery, first) : batchDocument(delivery);
  const headers = { 'content-type': alone ? documentType : batchType };
  return { id: messageId(delivery.id), body: Buffer.from(text), headers, events };
}

function* binary(delivery: Delivery): Generator<Message> {
  const { events } = delivery;
  for (const [at, event] of events.entries()) {
    const headers: Record<string, string> = {};
    for (const [name, value] of eventAttributes(delivery, event)) {
      headers[`ce-${name}`] = headerValue(value);
    }
    const body = event.value ?? new Uint8Array();
    if (event.value !== undefined) headers['content-type'] = contentTypeOf(body);
    const id = messageId(delivery.id) + (events.length > 1 ? `_${at + 1}` : '');
    yield { id, body, headers, events: [event] };
  }
}

/** For receivers that look no further than headers: where the message stands in the stream. */
function tellPlace(
  headers: Record<string, string>,
  delivery: Delivery,
  events: readonly DeliveredEvent[],
): void {
  const sequence = events.at(-1)?.sequence ?? '';
  const previous = events[0]?.previous ?? '';
  headers['waymark-stream'] = headerValue(delivery.stream);
  headers['waymark-fence'] = String(delivery.fence);
  headers['waymark-attempt'] = String(delivery.attempt);
  if (sequence !== '') headers['waymark-sequence'] = sequence;
  if (previous !== '') headers['waymark-previous'] = previous;
  const { trace } = delivery;
  if (trace !== undefined) headers['traceparent'] = trace.traceparent;
  if (trace !== undefined && trace.tracestate !== '') headers['tracestate'] = trace.tracestate;
}

function messageId(id: string): string {
  return headerValue(id.replaceAll('.', '_'));
}
