import { isUtf8 } from 'node:buffer';
import type { TraceContext } from 'waymark/engine';
import type { DeliveredEvent, Delivery } from '../endpoint.js';

/**
 * Events as CloudEvents 1.0 (github.com/cloudevents/spec, v1.0.2). *Structured*: one JSON document with the value inside. *Binary*: the value
 * alone, byte for byte, and its attributes beside it as headers.
 *
 * `time` is left out: it is when something happened, and what is known is when it was sent, which is the extension `sentat`. Integers of
 * CloudEvents have 32 bits, so `fence` and `revision` are decimal text.
 */

/** With its charset, since JSON of CloudEvents is UTF-8. */
export const documentType = 'application/cloudevents+json; charset=utf-8';
export const batchType = 'application/cloudevents-batch+json; charset=utf-8';

/** Beside a value there is room for so many ids; what is left out is counted in `morewatchers`. Documents hold all. */
const watchersBesideMax = 50;

/** Text with so few chars to escape stays readable. */
const escapedMin = 64;

/** Name in lower case, and value as text. */
export type EventAttribute = readonly [name: string, value: string];

/** The event as one JSON document. A value that is JSON stands in it as it was written. */
export function eventDocument(delivery: Delivery, event: DeliveredEvent): string {
  return documentOf(delivery, event, sharedOf(delivery));
}

/** All events of the delivery as one JSON list of documents. */
export function batchDocument(delivery: Delivery): string {
  const shared = sharedOf(delivery);
  let documents = '';
  // To join a list would copy each once more.
  for (const event of delivery.events) {
    documents += `${documents === '' ? '[' : ','}${documentOf(delivery, event, shared)}`;
  }
  return `${documents}]`;
}

/** What stands beside the value in binary mode: all attributes but `datacontenttype`, which is `contentTypeOf`. */
export function eventAttributes(delivery: Delivery, event: DeliveredEvent): EventAttribute[] {
  const attributes = attributesOf(delivery, event);
  const { watchers } = event;
  attributes.push(['watchers', watchers.slice(0, watchersBesideMax).join(',')]);
  const more = watchers.length - watchersBesideMax;
  if (more > 0) attributes.push(['morewatchers', String(more)]);
  return attributes;
}

/**
 * An attribute as an HTTP header's value: what is not printable ASCII, and blanks, quotes and percent signs, as %XX of its UTF-8 bytes. So no
 * text can end the header. `Euro €` is `Euro%20%E2%82%AC`.
 */
export function headerValue(text: string): string {
  return text.replace(/[^!#$&-~]+/gu, (run) => {
    let encoded = '';
    for (const byte of Buffer.from(run)) {
      encoded += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    }
    return encoded;
  });
}

/** JSON, UTF-8 text, or bytes. */
export function contentTypeOf(value: Uint8Array): string {
  return describe(value).type;
}

/** What all events of a delivery tell alike, written once. */
interface Shared {
  readonly sentAt: string;
  readonly members: string;
  /** Of the event before: neighbours are mostly of one namespace, for the same watchers. */
  namespace: string | null;
  source: string;
  watchers: readonly string[] | null;
  watchersQuoted: string;
}

const sharedBy = new WeakMap<Delivery, Shared>();

function sharedOf(delivery: Delivery): Shared {
  const known = sharedBy.get(delivery);
  if (known !== undefined) return known;
  const { stream, fence, attempt, sentAt: at, part } = delivery;
  const sentAt = new Date(at).toISOString();
  const parts = part === undefined ? '' : `"part":${part.index},"parts":${part.of},`;
  const members = `"specversion":"1.0","stream":${quoted(stream)},"fence":"${fence}","attempt":${attempt},"sentat":"${sentAt}",${parts}`;
  const shared = {
    sentAt,
    members,
    namespace: null,
    source: '',
    watchers: null,
    watchersQuoted: '',
  };
  sharedBy.set(delivery, shared);
  return shared;
}

/** The same as in attributesOf; to write a list of attributes would cost more than all else. */
function documentOf(delivery: Delivery, event: DeliveredEvent, shared: Shared): string {
  const { id, kind, path, revision, sequence, previous, value } = event;
  const source = sourceOf(delivery, event, shared);
  // Sequences are digits: see DeliveredEvent.
  const order =
    (sequence === '' ? '' : `,"sequence":"${sequence}"`) +
    (previous === '' ? '' : `,"previous":"${previous}"`) +
    (event.state === true ? ',"state":true' : '') +
    (event.replay === true ? ',"replay":true' : '') +
    (event.trace === undefined ? '' : traceMembers(event.trace));
  const watchers = watchersOf(event, shared);
  const told = value === undefined ? '' : `,${data(value)}`;
  return `{${shared.members}"id":${quoted(id)},"source":"${source}","type":"dev.waymark.${kind}","subject":${quoted(path)},"revision":"${revision}"${order},"watchers":${watchers}${told}}`;
}

/** All but the watchers. */
function attributesOf(delivery: Delivery, event: DeliveredEvent): EventAttribute[] {
  const { stream, fence, attempt, part } = delivery;
  const { id, kind, path, sequence, previous, revision } = event;
  const shared = sharedOf(delivery);
  const told: EventAttribute[] = [
    ['specversion', '1.0'],
    ['stream', stream],
    ['fence', String(fence)],
    ['attempt', String(attempt)],
    ['sentat', shared.sentAt],
  ];
  if (part !== undefined) told.push(['part', String(part.index)], ['parts', String(part.of)]);
  told.push(
    ['id', id],
    ['source', sourceOf(delivery, event, shared)],
    ['type', `dev.waymark.${kind}`],
    ['subject', path],
    ['revision', String(revision)],
  );
  // An attribute is never empty: a probe has no place in the stream, and the first event has none before it.
  if (sequence !== '') told.push(['sequence', sequence]);
  if (previous !== '') told.push(['previous', previous]);
  if (event.state === true) told.push(['state', 'true']);
  if (event.replay === true) told.push(['replay', 'true']);
  if (event.trace !== undefined) {
    const { traceparent, tracestate } = event.trace;
    told.push(['traceparent', traceparent]);
    if (tracestate !== '') told.push(['tracestate', tracestate]);
  }
  return told;
}

/** CloudEvents' extension for distributed tracing: where the event was made. */
function traceMembers({ traceparent, tracestate }: TraceContext): string {
  const state = tracestate === '' ? '' : `,"tracestate":${quoted(tracestate)}`;
  return `,"traceparent":"${traceparent}"${state}`;
}

/** Nothing in it is to be escaped. */
function sourceOf({ stream }: Delivery, { namespace }: DeliveredEvent, shared: Shared): string {
  if (shared.namespace !== namespace) {
    shared.source = `urn:waymark:${encodeURIComponent(stream)}:${encodeURIComponent(namespace)}`;
    shared.namespace = namespace;
  }
  return shared.source;
}

function watchersOf({ watchers }: DeliveredEvent, shared: Shared): string {
  if (shared.watchers !== watchers) {
    shared.watchersQuoted = quoted(watchers.join(','));
    shared.watchers = watchers;
  }
  return shared.watchersQuoted;
}

/** As JSON. Most text has nothing to escape, which is told sooner than JSON.stringify does it. */
function quoted(text: string): string {
  return /^[ !#-[\]-~]*$/.test(text) ? `"${text}"` : JSON.stringify(text);
}

/** The members of a document that tell the value. */
function data(value: Uint8Array): string {
  const { type, text } = describe(value);
  const typed = `"datacontenttype":"${type}"`;
  if (text !== undefined) {
    const written = type === 'application/json' ? text : JSON.stringify(text);
    // Text full of quotes and control characters is longer than base64: no document is much longer than its value.
    if (written.length - text.length <= escapedMin + value.byteLength / 3)
      return `${typed},"data":${written}`;
  }
  return `${typed},"data_base64":"${bytesOf(value).toString('base64')}"`;
}

function describe(value: Uint8Array): { readonly type: string; readonly text?: string } {
  if (!isUtf8(value)) return { type: 'application/octet-stream' };
  const text = bytesOf(value).toString();
  return { type: isJson(text) ? 'application/json' : 'text/plain; charset=utf-8', text };
}

function isJson(text: string): boolean {
  // What begins otherwise is none: most text needs no second look.
  if (!/^[\t\n\r ]*[[{"\-0-9tfn]/.test(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function bytesOf(value: Uint8Array): Buffer {
  if (Buffer.isBuffer(value)) return value;
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}
