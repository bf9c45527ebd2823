import { WaymarkError } from '../../core/errors.js';

/** What a `postgres://` URL says. */
export interface PostgresTarget {
  /** At least one. */
  readonly hosts: readonly PostgresHost[];
  /** What a connection must lead to, by libpq's words: no standby; with `read-write` nothing that is read-only by its settings either. */
  readonly sessionAttributes: 'primary' | 'read-write';
  readonly schema: string;
  /** A call ends within this. */
  readonly timeoutMs: number;
  /** Connections of this process at once, beside the one that listens. */
  readonly poolMax: number;
  /** History is dropped where both are passed. */
  readonly historyRevisions: number | undefined;
  readonly historyBytes: number | undefined;
}

export interface PostgresHost {
  /** As the URL has it: host and port. */
  readonly name: string;
  /** For the driver: the URL with this host alone, without the options that are Waymark's. */
  readonly connectionString: string;
}

const form =
  'postgres://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]…]/DATABASE[?schema=waymark&timeoutMs=…&poolMax=…]';
/** The driver's own. */
const passedOn = new Set([
  'sslmode',
  'sslcert',
  'sslkey',
  'sslrootcert',
  'host',
  'application_name',
]);
const own = new Set([
  'schema',
  'timeoutMs',
  'poolMax',
  'historyRevisions',
  'historyBytes',
  'target_session_attrs',
]);
const nameBytesMax = 63;
/** Quotes the bodies of functions, so no schema may have it in its name. */
export const bodyQuote = '$waymark$';

/**
 * The schema is `waymark` unless the URL names one.
 *
 * @throws {WaymarkError} `invalid`, with the form
 */
export function parsePostgresUrl(text: string): PostgresTarget {
  const urls = urlsOf(text);
  const [{ searchParams: query }] = urls;
  for (const name of query.keys()) {
    if (!own.has(name) && !passedOn.has(name)) throw invalid(`there is no option '${name}'`);
  }
  for (const { hostname } of urls) {
    if (hostname === '' && (urls.length > 1 || !query.has('host')))
      throw invalid('a host is missing');
  }
  if (query.has('host') && (urls.length > 1 || query.get('host')?.includes(',') === true))
    throw invalid('several hosts stand before the database, not in an option');
  const target = {
    sessionAttributes: attributesOf(query.get('target_session_attrs')),
    schema: schemaOf(query.get('schema')),
    timeoutMs: numberOf(query, 'timeoutMs', 100, 600_000) ?? 5_000,
    poolMax: numberOf(query, 'poolMax', 2, 100) ?? 8,
    historyRevisions: numberOf(query, 'historyRevisions', 0, Number.MAX_SAFE_INTEGER),
    historyBytes: numberOf(query, 'historyBytes', 0, Number.MAX_SAFE_INTEGER),
  };
  return { ...target, hosts: urls.map(hostOf) };
}

/** One for each host: a URL as the platform reads it has but one. */
function urlsOf(text: string): [URL, ...URL[]] {
  const [, before, hosts, after] =
    /^(postgres(?:ql)?:\/\/(?:[^/?#]*@)?)([^/?#@]*)(.*)$/.exec(text) ?? [];
  if (before === undefined || hosts === undefined) throw invalid('no PostgreSQL URL');
  try {
    const [first = '', ...others] = hosts.split(',');
    const urlOf = (host: string): URL => new URL(`${before}${host}${after}`);
    return [urlOf(first), ...others.map(urlOf)];
  } catch {
    throw invalid('no PostgreSQL URL');
  }
}

function hostOf(url: URL): PostgresHost {
  for (const name of own) url.searchParams.delete(name);
  const name = url.host === '' ? (url.searchParams.get('host') ?? '') : url.host;
  return { name, connectionString: url.href };
}

function attributesOf(text: string | null): PostgresTarget['sessionAttributes'] {
  if (text === null || text === 'primary') return 'primary';
  if (text === 'read-write') return text;
  throw invalid(`target_session_attrs is primary or read-write, as an engine writes; not ${text}`);
}

function schemaOf(text: string | null): string {
  const schema = text ?? 'waymark';
  const bytes = Buffer.byteLength(schema);
  if (bytes > 0 && bytes <= nameBytesMax && !/\0/.test(schema) && !schema.includes(bodyQuote)) {
    return schema;
  }
  throw invalid(`a schema's name has 1 to ${nameBytesMax} bytes`);
}

function numberOf(
  query: URLSearchParams,
  name: string,
  min: number,
  max: number,
): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= min && number <= max) return number;
  throw invalid(`${name} is ${min} to ${max}, not ${text}`);
}

function invalid(why: string): WaymarkError {
  return new WaymarkError('invalid', `${why}: write ${form}`);
}
