import { WaymarkError } from 'waymark/engine';
import { normalUri, readUri, type UriParts } from '../kit/uri.js';

/** What a Redis URI says. */
export interface RedisPlace {
  readonly parts: UriParts;
  readonly normal: string;
  /** Empty: the default user. */
  readonly user: string;
  readonly password: string;
  readonly database: number;
  readonly to:
    | { readonly type: 'stream'; readonly name: string; readonly lengthMax: number | null }
    | { readonly type: 'list' | 'channel'; readonly name: string }
    /** Each path is a key of its own, behind a prefix. */
    | { readonly type: 'key'; readonly name: string };
}

/** What keeps fences, beside the data. */
export const fencePrefix = 'waymark:fence:';
const ports = { redis: 6379, rediss: 6379 };
const types = ['stream', 'list', 'channel', 'key'] as const;
const nameBytesMax = 1_024;

/** @throws {WaymarkError} `invalid`, naming the part that is wrong */
export function readRedisUri(uri: string): RedisPlace {
  const parts = readUri(uri, { ports, parameters: [...types, 'maxlen'] });
  for (const name of new Set(parts.parameters.keys())) {
    if (parts.parameters.getAll(name).length > 1) throw refused(`'${name}' stands more than once`);
  }
  const database = databaseOf(parts.path);
  const to = destination(parts.parameters);
  // `redis://secret@host` has a password alone.
  const [user, password] = parts.passworded ? [parts.user, parts.password] : ['', parts.user];
  // How long a stream may get does not make it another one.
  const canonical = { ...parts, parameters: new URLSearchParams({ [to.type]: to.name }) };
  const normal = normalUri(canonical, { user, path: `/${database}` });
  return { parts, normal, user, password, database, to };
}

function databaseOf(path: string): number {
  if (path === '' || path === '/') return 0;
  const digits = /^\/(\d{1,9})$/.exec(path)?.[1];
  if (digits !== undefined) return Number(digits);
  throw refused('the path of a Redis URI is the number of a database: redis://HOST/0');
}

function destination(parameters: URLSearchParams): RedisPlace['to'] {
  const given = types.filter((type) => parameters.has(type));
  if (given.length > 1) throw refused(`take one of ${given.join(' and ')}`);
  const type = given[0] ?? 'stream';
  const name = checkedName(type, parameters.get(type) ?? 'waymark');
  const length = parameters.get('maxlen');
  if (length !== null && type !== 'stream') throw refused("'maxlen' is of streams");
  if (type !== 'stream') return { type, name };
  if (length !== null && !/^[1-9]\d{0,14}$/.test(length)) {
    throw refused("'maxlen' is how many entries the stream keeps, about: a whole number from 1");
  }
  return { type, name, lengthMax: length === null ? null : Number(length) };
}

function checkedName(type: (typeof types)[number], name: string): string {
  if (name === '' && type !== 'key') throw refused(`the name of the ${type} is empty`);
  if (Buffer.byteLength(name) > nameBytesMax) {
    throw refused(`the '${type}' takes at most ${nameBytesMax} bytes`);
  }
  if (name.startsWith(fencePrefix)) throw refused(`'${fencePrefix}…' is where fences are kept`);
  return name;
}

function refused(message: string): WaymarkError {
  return new WaymarkError('invalid', message);
}
