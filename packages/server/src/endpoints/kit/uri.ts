import { createHash } from 'node:crypto';
import { WaymarkError } from 'waymark/engine';
import { canonicalHost } from './hosts.js';

/** The longest URI of an endpoint. */
const bytesMax = 2_048;
/** Parameters that hold what nobody may see, by their names. */
const secretName =
  /pass(?:word|wd|phrase)|pwd|secret|token|signature|credential|(?:api|access|private)[_-]?key|bearer|jwt|hmac/i;
/** Where a user without a password is a name all the same, and no secret. */
const namedUser = /^(?:xmpp|amqps?|mysql|postgres(?:ql)?)$/;
/** What these mean is up to whoever answers, and it may be a secret. In other schemes they are Waymark's own. */
const secretOverHttp = /^(?:pass|key|sig|code|auth|authorization|sas)$/i;

export interface UriRules {
  /** Scheme to the port that is meant where none is written. */
  readonly ports: Readonly<Record<string, number>>;
  /** Parameters that are known; any others are refused. Absent: the URI's own business. */
  readonly parameters?: readonly string[] | undefined;
}

export interface UriParts {
  readonly uri: string;
  /** In lower case, without the colon. */
  readonly scheme: string;
  /** In lower case, ASCII, literals in their usual form, an IPv6 literal without brackets. */
  readonly host: string;
  readonly port: number;
  /** Decoded; empty where absent. */
  readonly user: string;
  readonly password: string;
  /** Whether a colon stood in the user information: `redis://secret@host` has a user alone. */
  readonly passworded: boolean;
  /** As it stands, with its first slash; empty where absent. */
  readonly path: string;
  readonly parameters: URLSearchParams;
}

/** @throws {WaymarkError} `invalid`, naming the part that is wrong */
export function readUri(uri: string, rules: UriRules): UriParts {
  if (typeof uri !== 'string' || uri === '') throw refused('an endpoint is a URI, as text');
  if (Buffer.byteLength(uri) > bytesMax) {
    throw refused(`the URI of an endpoint takes at most ${bytesMax} bytes`);
  }
  if (/[\0-\x20\x7f\\]/.test(uri)) {
    throw refused(
      'the URI of an endpoint holds no blanks, control characters and backslashes: write them as %20 and the like',
    );
  }
  const scheme = schemeOf(uri);
  const port = Object.hasOwn(rules.ports, scheme) ? rules.ports[scheme] : undefined;
  if (port === undefined) {
    throw refused(
      `'${scheme}' is not the scheme of this endpoint: it takes ${Object.keys(rules.ports).join(', ')}`,
    );
  }
  const url = parsed(uri);
  const host = canonicalHost(url.hostname);
  if (host === null || /^[^/]*\/\/\//.test(uri)) {
    throw refused(`the URI of an endpoint names a host: ${scheme}://HOST…`);
  }
  if (url.port === '0') throw refused('port 0 is no port to send to: take 1 to 65535');
  if (url.hash !== '' || uri.endsWith('#'))
    throw refused('the URI of an endpoint has no fragment (#…)');
  for (const name of url.searchParams.keys()) {
    if (rules.parameters?.includes(name) === false) {
      const known = rules.parameters.length === 0 ? 'none' : rules.parameters.join(', ');
      throw refused(
        `unknown parameter '${encodeURIComponent(name)}': this endpoint takes ${known}`,
      );
    }
  }
  return {
    uri,
    scheme,
    host,
    port: url.port === '' ? port : Number(url.port),
    user: decoded(url.username, 'user'),
    password: decoded(url.password, 'password'),
    passworded: /^[^/?#]*:[^/?#]*@/.test(uri.slice(uri.indexOf('//') + 2)),
    path: url.pathname,
    parameters: url.searchParams,
  };
}

/** In lower case. @throws {WaymarkError} `invalid` for what has none */
export function schemeOf(uri: string): string {
  const match = /^([a-z][a-z0-9+.-]*):\/\//i.exec(uri);
  if (match?.[1] !== undefined) return match[1].toLowerCase();
  throw refused('an endpoint is a URI with a scheme, as https://example.com/hook');
}

/**
 * The canonical form: what differs only in spelling, or in its password, becomes the same. Of parameters that are secret a digest is left: another
 * value may be another place, and nobody can read it. Parameters of one name stay in their order.
 */
export function normalUri(
  parts: UriParts,
  { user = parts.user, path = parts.path }: { readonly user?: string; readonly path?: string } = {},
): string {
  const host = parts.host.includes(':') ? `[${parts.host}]` : parts.host;
  const account = user === '' ? '' : `${encodeURIComponent(user)}@`;
  const named = [...parts.parameters].map(([name, value]): [string, string] => [
    name,
    isSecret(parts.scheme, name) && value !== '' ? digest(value) : value,
  ]);
  const sorted = new URLSearchParams(named.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  const query = sorted.size === 0 ? '' : `?${sorted.toString()}`;
  return `${parts.scheme}://${account}${host}:${parts.port}${normalPath(path)}${query}`;
}

/**
 * For people: passwords, and the values of parameters whose name tells that they are secret, are `***`. A user without a password may be one, as in
 * `redis://secret@host`. Of what is no URI the scheme is left.
 */
export function shownUri(uri: string): string {
  const scheme = /^([a-z][a-z0-9+.-]{0,31}):/i.exec(uri)?.[1]?.toLowerCase() ?? '';
  const url = scheme !== '' && URL.canParse(uri) ? new URL(uri) : null;
  if (url === null || url.host === '') return scheme === '' ? '***' : `${scheme}://***`;
  const { username, password } = url;
  const named = password !== '' || namedUser.test(scheme);
  const user = username === '' || named ? username : '***';
  const account = `${user}${password === '' ? '' : ':***'}`;
  return `${scheme}://${account === '' ? '' : `${account}@`}${url.host}${url.pathname}${shownQuery(scheme, url.search)}`;
}

function shownQuery(scheme: string, search: string): string {
  return search.replace(/([?&;])([^=&;]*)=[^&;]*/g, (whole, mark: string, written: string) => {
    const [[name] = ['']] = new URLSearchParams(`${written}=`);
    return isSecret(scheme, name) ? `${mark}${written}=***` : whole;
  });
}

function isSecret(scheme: string, name: string): boolean {
  const overHttp = /^(?:http|ws)s?$/.test(scheme);
  return secretName.test(name) || (overHttp && secretOverHttp.test(name));
}

function digest(value: string): string {
  return `sha256-${createHash('sha256').update(value).digest('base64url').slice(0, 22)}`;
}

/** Escapes of what needs none are undone, and the others are in capitals (RFC 3986, 6.2.2). */
function normalPath(path: string): string {
  return path.replace(/%[0-9a-f]{2}/gi, (escape) => {
    const character = String.fromCharCode(parseInt(escape.slice(1), 16));
    return /[\w.~-]/.test(character) ? character : escape.toUpperCase();
  });
}

/** What the platform says of a URI that is none would hold all of it. */
function parsed(uri: string): URL {
  if (URL.canParse(uri)) return new URL(uri);
  const port = /^[^/]*\/\/[^/?#]*:(\d+)(?:[/?#]|$)/.exec(uri)?.[1];
  if (port !== undefined && Number(port) > 65_535) {
    throw refused('the port in the URI of an endpoint is none: take 1 to 65535');
  }
  throw refused('this is no URI: SCHEME://[USER[:PASSWORD]@]HOST[:PORT][/PATH][?NAME=VALUE]');
}

function decoded(text: string, part: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw refused(
      `the ${part} in the URI of an endpoint is not well encoded: a % stands before two hexadecimal digits`,
    );
  }
}

function refused(message: string): WaymarkError {
  return new WaymarkError('invalid', message);
}
