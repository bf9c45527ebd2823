import { WaymarkError } from '../core/errors.js';
import { headerOf, type WebhookHeaders } from './headers.js';

/** What a watcher tells. */
export interface ReceivedEvent {
  /** The same for every try. */
  readonly id: string;
  /** `resync`: some changes could not be told; what is there now follows, each marked `state`. `test`: a probe. */
  readonly kind: 'put' | 'delete' | 'expire' | 'resync' | 'test';
  readonly namespace: string;
  readonly path: string;
  readonly revision: number;
  /** Names the order that `sequence`, `previous` and `fence` belong to. */
  readonly stream: string;
  /** Text that sorts in the order of the stream; empty for a test. */
  readonly sequence: string;
  /** What came before; empty for the first. */
  readonly previous: string;
  /** Grows with every processor that takes the endpoint over. */
  readonly fence: number;
  /** 1 for the first try. */
  readonly attempt: number;
  /** Ids of the watchers that match. */
  readonly watchers: readonly string[];
  /** Whether it tells what is there after a resync, not a change. */
  readonly state: boolean;
  /** Whether it is told again, as asked. */
  readonly replay: boolean;
  /** Absent where nothing was put. */
  readonly contentType: string | undefined;
  /** What was put: parsed where it is JSON, a string where it is text, otherwise bytes; undefined where nothing was. */
  readonly data: unknown;
}

const kinds: ReadonlySet<string> = new Set(['put', 'delete', 'expire', 'resync', 'test']);
const sequenceForm = /^(\d{16}-\d{16}-\d{13})?$/;

/**
 * Reads what a Waymark server posts: one document, a list of documents, or a value with its attributes in headers.
 *
 * @throws {WaymarkError} `invalid` for anything else
 */
export function readEvents(headers: WebhookHeaders, body: Uint8Array | string): ReceivedEvent[] {
  const bytes = Buffer.from(body);
  const type = headerOf(headers, 'content-type');
  const [mediaType = ''] = (type ?? '').toLowerCase().split(';', 1);
  if (mediaType === 'application/cloudevents+json') return [fromDocument(parsed(bytes))];
  if (mediaType === 'application/cloudevents-batch+json') {
    const documents = parsed(bytes);
    if (!Array.isArray(documents) || documents.length === 0) throw refused('the batch is no list');
    return documents.map(fromDocument);
  }
  const attribute = (name: string): unknown => {
    const header = headerOf(headers, `ce-${name}`);
    return header === undefined ? undefined : decoded(header);
  };
  return [read(attribute, type, type === undefined ? undefined : dataOf(mediaType, bytes))];
}

function fromDocument(document: unknown): ReceivedEvent {
  if (typeof document !== 'object' || document === null) throw refused('it is no JSON object');
  const members = document as Readonly<Record<string, unknown>>;
  const { datacontenttype: type, data_base64: base64, data } = members;
  const contentType = typeof type === 'string' ? type : undefined;
  const value = typeof base64 === 'string' ? Buffer.from(base64, 'base64') : data;
  const attribute = (name: string): unknown =>
    Object.hasOwn(members, name) ? members[name] : undefined;
  return read(attribute, contentType, value);
}

function read(
  attribute: (name: string) => unknown,
  contentType: string | undefined,
  data: unknown,
): ReceivedEvent {
  const text = (name: string): string => {
    const value = attribute(name);
    return value === undefined ? '' : String(value);
  };
  const number = (name: string): number => {
    const value = Number(text(name));
    if (text(name) === '' || !Number.isSafeInteger(value) || value < 0) {
      throw refused(`its ${name} is no number`);
    }
    return value;
  };
  const kind = text('type').replace(/^dev\.waymark\./, '');
  const [, namespace] = /^urn:waymark:[^:]+:([^:]+)$/.exec(text('source')) ?? [];
  const told = { id: text('id'), path: text('subject'), stream: text('stream') };
  const places = { sequence: text('sequence'), previous: text('previous') };
  if (text('specversion') !== '1.0' || !kinds.has(kind) || namespace === undefined) {
    throw refused('specversion, type or source is another one');
  }
  if (Object.values(told).includes('')) throw refused('its id, subject or stream is missing');
  if (!Object.values(places).every((one) => sequenceForm.test(one))) {
    throw refused('its sequence is none');
  }
  if (places.sequence === '' && kind !== 'test') throw refused('its sequence is missing');
  return {
    ...told,
    ...places,
    kind: kind as ReceivedEvent['kind'],
    namespace: decoded(namespace),
    revision: number('revision'),
    fence: number('fence'),
    attempt: number('attempt'),
    watchers: text('watchers')
      .split(',')
      .filter((id) => id !== ''),
    state: text('state') === 'true',
    replay: text('replay') === 'true',
    contentType,
    data,
  };
}

function dataOf(mediaType: string, bytes: Buffer): unknown {
  if (mediaType === 'application/json') return parsed(bytes);
  return mediaType === 'text/plain' ? bytes.toString() : bytes;
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch (cause) {
    throw refused('it is no JSON', cause);
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw refused('an attribute is not well encoded', cause);
  }
}

function refused(why: string, cause?: unknown): WaymarkError {
  return new WaymarkError('invalid', `this is no event of a Waymark server: ${why}`, {}, cause);
}
