import { WaymarkError } from '../../core/errors.js';

/** What a `postgres://` URL says. */
export interface PostgresTarget {
  /** For the driver: the URL without the options that are Waymark's. */
  readonly connectionString: string;
  readonly schema: string;
  /** A call ends within this. */
  readonly timeoutMs: number;
  /** Connections of this process at once, beside the one that listens. */
  readonly poolMax: number;
  /** History is dropped where both are passed. */
  readonly historyRevisions: number | undefined;
  readonly historyBytes: number | undefined;
}

const form =
  'postgres://[USER:PASSWORD@]HOST[:PORT]/DATABASE[?schema=waymark&timeoutMs=…&poolMax=…]';
/** The driver's own. */
const passedOn = new Set([
  'sslmode',
  'sslcert',
  'sslkey',
  'sslrootcert',
  'host',
  'application_name',
]);
const own = new Set(['schema', 'timeoutMs', 'poolMax', 'historyRevisions', 'historyBytes']);
const nameBytesMax = 63;
/** Quotes the bodies of functions, so no schema may have it in its name. */
export const bodyQuote = '$waymark$';

/**
 * The schema is `waymark` unless the URL names one.
 *
 * @throws {WaymarkError} `invalid`, with the form
 */
export function parsePostgresUrl(text: string): PostgresTarget {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw invalid('no PostgreSQL URL');
  }
  if (!/^postgres(ql)?:$/.test(url.protocol)) throw invalid('no PostgreSQL URL');
  const { searchParams: query } = url;
  for (const name of query.keys()) {
    if (!own.has(name) && !passedOn.has(name)) throw invalid(`there is no option '${name}'`);
  }
  if (url.hostname === '' && !query.has('host')) throw invalid('a host is missing');
  const target = {
    schema: schemaOf(query.get('schema')),
    timeoutMs: numberOf(query, 'timeoutMs', 100, 600_000) ?? 5_000,
    poolMax: numberOf(query, 'poolMax', 2, 100) ?? 8,
    historyRevisions: numberOf(query, 'historyRevisions', 0, Number.MAX_SAFE_INTEGER),
    historyBytes: numberOf(query, 'historyBytes', 0, Number.MAX_SAFE_INTEGER),
  };
  for (const name of own) query.delete(name);
  return { ...target, connectionString: url.href };
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
