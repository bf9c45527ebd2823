import { WaymarkError } from 'waymark/engine';
import { normalUri, readUri, type UriParts } from '../kit/uri.js';

/** Who receives. */
export interface XmppPlace {
  readonly parts: UriParts;
  readonly normal: string;
  readonly type: 'chat' | 'groupchat';
  /** `NODE@DOMAIN`: of the person, or of the room. */
  readonly bare: string;
  /** Of a chat, the one client that is meant; of a room, the name to join by. Empty: any; the account's. */
  readonly resource: string;
  readonly subject: string;
}

const port = 5_222;
const partBytesMax = 1_023;
const subjectBytesMax = 256;

/** @throws {WaymarkError} `invalid`, naming the part that is wrong */
export function readXmppUri(uri: string): XmppPlace {
  const parts = readUri(uri, { ports: { xmpp: port } });
  const { host } = parts;
  if (parts.passworded)
    throw refused('xmpp:// has no password: who sends is told by the account of the server');
  const node = parts.user.toLowerCase();
  if (node === '') throw refused('the URI names no receiver: xmpp://NODE@DOMAIN/');
  if (/[\s"&'/:<>@]/.test(node) || !isPart(node))
    throw refused(`the node '${printable(node)}' is none: it is text without blanks and "&'/:<>@`);
  const resource = decoded(parts.path.slice(1));
  if (!isPart(resource))
    throw refused('the resource (the path) is text without control characters');
  const { type, subject } = queryOf(uri);
  const parameters = new URLSearchParams({ type, ...(subject !== '' && { subject }) });
  const path = resource === '' ? '/' : `/${encodeURIComponent(resource)}`;
  const normal = normalUri({ ...parts, port, parameters }, { user: node, path });
  return { parts, normal, type, bare: `${node}@${host}`, resource, subject };
}

/** Separated by `&`, or by `;` as RFC 5122 has it, whose actions `message` and `join` are the two types. */
function queryOf(uri: string): Pick<XmppPlace, 'type' | 'subject'> {
  const query = uri.slice(uri.indexOf('?') + 1 || uri.length).replaceAll(';', '&');
  let type: XmppPlace['type'] = 'chat';
  let subject = '';
  for (const [name, value] of new URLSearchParams(query)) {
    if (name === 'type' && (value === 'chat' || value === 'groupchat')) type = value;
    else if (name === 'subject') subject = value;
    else if (name === 'join' && value === '') type = 'groupchat';
    else if (name === 'type') throw refused(`the parameter type is chat or groupchat`);
    else if (name !== 'message' || value !== '')
      throw refused(`unknown parameter '${printable(name)}': this endpoint takes type, subject`);
  }
  if (Buffer.byteLength(subject) > subjectBytesMax || isControlled(subject))
    throw refused(`the parameter subject is at most ${subjectBytesMax} bytes of one line`);
  return { type, subject };
}

function isPart(text: string): boolean {
  return Buffer.byteLength(text) <= partBytesMax && !isControlled(text);
}

/** What XML has no way to say is no part of an address either. */
function isControlled(text: string): boolean {
  return /[\p{Cc}\ufffe\uffff]/u.test(text);
}

function printable(text: string): string {
  return text.slice(0, 40).replaceAll(/\p{Cc}/gu, '?');
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw refused(
      'the resource (the path) is not well encoded: a % stands before two hexadecimal digits',
    );
  }
}

function refused(message: string): WaymarkError {
  return new WaymarkError('invalid', message);
}
