import { WaymarkError } from 'waymark/engine';
import { normalUri, readUri, type UriParts } from '../kit/uri.js';
import { readWordTemplate, type WordTemplate } from '../kit/word-template.js';

/** What a NATS URI says. */
export interface NatsPlace {
  readonly parts: UriParts;
  readonly normal: string;
  readonly account: NatsAccount;
  readonly subject: WordTemplate;
  /** The stream that must take the messages; undefined: the server's word is enough. */
  readonly stream: string | undefined;
}

export type NatsAccount =
  | { readonly user: string; readonly pass: string }
  | { readonly token: string }
  | Record<string, never>;

/** A line of the protocol takes 4 096 bytes by default, and the server hangs up on a longer one. */
export const subjectBytesMax = 2_048;
const nameBytesMax = 255;
const ports = { nats: 4222, 'nats+tls': 4222 };

/** @throws {WaymarkError} `invalid`, naming the part that is wrong */
export function readNatsUri(uri: string): NatsPlace {
  const parts = readUri(uri, { ports, parameters: ['jetstream'] });
  const account = accountOf(parts);
  const subject = subjectOf(parts.path);
  const stream = streamOf(parts.parameters.getAll('jetstream'));
  const path = `/${encodeURIComponent(subject.text)}`;
  // A token is no name.
  const user = 'token' in account ? '' : parts.user;
  return { parts, normal: normalUri(parts, { user, path }), account, subject, stream };
}

function accountOf({ user, password, passworded }: UriParts): NatsAccount {
  if (user === '' && !passworded) return {};
  if (user === '') throw refused('a password stands behind a user: nats://USER:PASSWORD@HOST');
  return passworded ? { user, pass: password } : { token: user };
}

function subjectOf(path: string): WordTemplate {
  if (path === '' || path === '/') {
    throw refused('the URI names its subject: nats://HOST/SUBJECT, as nats://HOST/orders.{path}');
  }
  const subject = readWordTemplate('subject', decoded(path.slice(1)));
  const words = subject.text.replace(/\{\w+\}/g, 'x').split('.');
  if (words.includes('')) throw refused('the subject has an empty word between its dots');
  if (words.some((word) => /[*>/]/.test(word))) {
    throw refused('the subject has words and dots: no wildcards (* and >), and no slash');
  }
  // So that no path leads to where the server itself listens, or to somebody's answers.
  if (/^(?:\$|_INBOX\b|[^.]*\{)/.test(subject.text)) {
    throw refused('the subject begins with a word of its own, which is not $… and no {…}');
  }
  return subject;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw refused('the subject is not well encoded: a % stands before two hexadecimal digits');
  }
}

function streamOf([name, ...more]: readonly string[]): string | undefined {
  if (more.length > 0) throw refused("'jetstream' stands more than once");
  if (name === undefined) return undefined;
  if (name === '' || Buffer.byteLength(name) > nameBytesMax || /[.*>/\\\s\p{C}]/u.test(name)) {
    throw refused("'jetstream' is the name of a stream: no dots, wildcards, slashes and blanks");
  }
  return name;
}

function refused(message: string): WaymarkError {
  return new WaymarkError('invalid', message);
}
