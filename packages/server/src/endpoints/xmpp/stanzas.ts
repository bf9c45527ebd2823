import { isUtf8 } from 'node:buffer';
import { type DeliveredEvent, type Delivery, DeliveryFailure } from '../endpoint.js';
import { eventDocument } from '../kit/cloud-events.js';
import type { XmppElement, XmppLibrary } from './library.js';
import type { XmppPlace } from './place.js';

export const namespaces = {
  json: 'urn:xmpp:json:0',
  receipts: 'urn:xmpp:receipts',
  ping: 'urn:xmpp:ping',
  management: 'urn:xmpp:sm:3',
  room: 'http://jabber.org/protocol/muc',
  roomUser: 'http://jabber.org/protocol/muc#user',
  roomOwner: 'http://jabber.org/protocol/muc#owner',
  form: 'jabber:x:data',
} as const;

/** What servers take by default. */
const stanzaBytesMax = 262_144;
/** Of a value, for people. */
const shownChars = 1_000;

/**
 * One event as a message: a text for people, and the document. All text goes through the library's elements, which escape it.
 *
 * @throws {DeliveryFailure} when it takes more than servers take
 */
export function messageOf(
  { xml }: XmppLibrary,
  place: XmppPlace,
  delivery: Delivery,
  event: DeliveredEvent,
): XmppElement {
  const { type, bare, resource, subject } = place;
  const chat = type === 'chat';
  const to = chat && resource !== '' ? `${bare}/${resource}` : bare;
  const message = xml(
    'message',
    { to, type, id: event.id },
    subject === '' ? undefined : xml('subject', {}, subject),
    xml('body', {}, bodyOf(event)),
    xml('json', { xmlns: namespaces.json }, jsonOf(delivery, event)),
    chat ? xml('request', { xmlns: namespaces.receipts }) : undefined,
  );
  const bytes = Buffer.byteLength(String(message));
  if (bytes <= stanzaBytesMax) return message;
  const what = `the message takes ${bytes} bytes, and servers take at most ${stanzaBytesMax}`;
  throw new DeliveryFailure('again', what);
}

/** JSON escapes all control characters itself; of what is left XML has no way to say these two. */
function jsonOf(delivery: Delivery, event: DeliveredEvent): string {
  return eventDocument(delivery, event)
    .replaceAll('\ufffe', '\\ufffe')
    .replaceAll('\uffff', '\\uffff');
}

/** `put /orders/42: {"state":"queued"}`. What XML has no way to say shows as U+FFFD: the document has it whole. */
function bodyOf({ kind, path, value }: DeliveredEvent): string {
  const what = value === undefined ? `${kind} ${path}` : `${kind} ${path}: ${shown(value)}`;
  return what.replaceAll(/[^\t\n\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '\ufffd');
}

function shown(value: Uint8Array): string {
  if (!isUtf8(value)) return `${value.byteLength} bytes`;
  const text = Buffer.from(value).toString();
  return text.length <= shownChars ? text : `${text.slice(0, shownChars)}…`;
}

/** Joins a room without being told what was said before. */
export function joinOf({ xml }: XmppLibrary, room: string, nick: string): XmppElement {
  const history = xml('history', { maxstanzas: '0' });
  return xml('presence', { to: `${room}/${nick}` }, xml('x', { xmlns: namespaces.room }, history));
}

/** Accepts what a new room is by default. */
export function openRoomOf({ xml }: XmppLibrary, room: string): XmppElement {
  const form = xml('x', { xmlns: namespaces.form, type: 'submit' });
  const query = xml('query', { xmlns: namespaces.roomOwner }, form);
  return xml('iq', { to: room, type: 'set' }, query);
}

export function pingOf({ xml }: XmppLibrary, domain: string): XmppElement {
  return xml('iq', { to: domain, type: 'get' }, xml('ping', { xmlns: namespaces.ping }));
}

/** What a stanza of the type `error` says. */
export function failureOf(stanza: XmppElement, who: string): DeliveryFailure {
  const conditions = stanza.getChild('error')?.getChildElements() ?? [];
  const condition = conditions.find(({ name }) => name !== 'text')?.name ?? '';
  const known = /^[a-z-]{1,40}$/.test(condition) ? condition : 'unknown';
  return new DeliveryFailure(
    known === 'gone' ? 'gone' : 'again',
    `${who} answered the error ${known}`,
  );
}
