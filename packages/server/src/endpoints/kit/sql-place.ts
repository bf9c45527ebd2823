import { WaymarkError } from 'waymark/engine';
import type { EndpointSettings, Target } from '../endpoint.js';
import { fencesName, type SqlTable } from './sql.js';
import { targetOf } from './target.js';
import { normalUri, readUri, type UriParts } from './uri.js';

/** `require` encrypts and asks nobody who they are; `verify-ca` checks who signed the certificate, `verify-full` its name as well. */
export type SslMode = 'disable' | 'require' | 'verify-ca' | 'verify-full';

/** What the URI of a table says. */
export interface SqlPlace {
  readonly target: Target;
  readonly parts: UriParts;
  readonly database: string;
  readonly table: SqlTable;
  readonly create: boolean;
  readonly sslMode: SslMode;
}

export interface SqlUriRules {
  readonly ports: Readonly<Record<string, number>>;
  readonly parameters: readonly string[];
  /** Stands for all of them in the canonical form: a table is the same place whichever way it is reached. */
  readonly scheme: string;
  /** Bytes of a name in UTF-8. */
  readonly nameBytesMax: number;
  /** Whether tables lie in schemas of a database, `public` where none is written. */
  readonly schemas: boolean;
  /** What may be asked for; the first is usual. */
  sslModes(scheme: string): readonly SslMode[];
}

/**
 * Reads `SCHEME://USER[:PASSWORD]@HOST[:PORT]/DATABASE/TABLE[?…]`.
 *
 * @throws {WaymarkError} `invalid`, naming the part that is wrong
 */
export function readSqlUri(uri: string, settings: EndpointSettings, rules: SqlUriRules): SqlPlace {
  const parts = readUri(uri, rules);
  const { parameters, user, path } = parts;
  for (const name of new Set(parameters.keys())) {
    if (parameters.getAll(name).length > 1) throw refused(`'${name}' stands more than once`);
  }
  if (user === '') throw refused('the URI lacks a user: write USER:PASSWORD@ before the host');
  if (settings.secrets.length > 0) throw refused('this endpoint signs nothing: give it no secret');
  const [database = '', ...rest] = path.split('/').slice(1).map(decoded);
  if (database === '') throw refused('the URI lacks a database: write /DATABASE/TABLE');
  const table = tableOf(rules, database, spelledTable(rest, parameters.get('table')));
  for (const name of [database, table.schema, table.name]) checkName(name, rules.nameBytesMax);
  if (table.name.toLowerCase() === fencesName) {
    throw refused(`the table ${fencesName} is for fences: take another one`);
  }
  return {
    target: targetOf(parts, { fences: true, normal: normalOf(parts, database, table, rules) }),
    parts,
    database,
    table,
    create: createOf(parameters),
    sslMode: sslModeOf(parts, rules.sslModes(parts.scheme)),
  };
}

/** Neither how a table is reached nor whether it may be created makes it another one. */
function normalOf(
  parts: UriParts,
  database: string,
  { schema, name }: SqlTable,
  { scheme, schemas }: SqlUriRules,
): string {
  const table = `${schemas ? `${encodeURIComponent(schema)}.` : ''}${encodeURIComponent(name)}`;
  const path = `/${encodeURIComponent(database)}/${table}`;
  return normalUri({ ...parts, scheme, parameters: new URLSearchParams() }, { path });
}

function spelledTable(rest: readonly string[], parameter: string | null): string {
  const written = rest.filter((part) => part !== '');
  const [first = parameter, second] = written;
  if (first === null) throw refused('the URI lacks a table: write /DATABASE/TABLE');
  if (second !== undefined || (parameter !== null && written.length > 0)) {
    throw refused('the URI names more than one table: write /DATABASE/TABLE');
  }
  return first;
}

function tableOf({ schemas }: SqlUriRules, database: string, spelled: string): SqlTable {
  if (!schemas) return { schema: database, name: spelled };
  const dot = spelled.indexOf('.');
  if (dot < 0) return { schema: 'public', name: spelled };
  return { schema: spelled.slice(0, dot), name: spelled.slice(dot + 1) };
}

function createOf(parameters: URLSearchParams): boolean {
  const create = parameters.get('create') ?? 'yes';
  if (create !== 'yes' && create !== 'no') throw refused("'create' is yes or no");
  return create === 'yes';
}

function sslModeOf({ scheme, parameters }: UriParts, modes: readonly SslMode[]): SslMode {
  const [usual = 'disable'] = modes;
  const mode = parameters.get('sslmode') ?? usual;
  const known = modes.find((one) => one === mode);
  if (known !== undefined) return known;
  throw refused(`'sslmode' of ${scheme}:// is ${modes.join(', ')}, not ${mode}`);
}

function checkName(name: string, bytesMax: number): void {
  if (name === '') throw refused('the name of a database, schema or table is empty');
  if (Buffer.byteLength(name) > bytesMax) {
    throw refused(`the name of a database, schema or table takes at most ${bytesMax} bytes`);
  }
  // What lies beyond the basic plane is no name in MySQL.
  if (/[\p{C}./\\]|^ | $|[\u{10000}-\u{10ffff}]/u.test(name)) {
    throw refused(
      'the name of a database, schema or table holds no control characters, dots, slashes, backslashes and emoji, and neither begins nor ends with a blank',
    );
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw refused('the path is not well encoded: a % stands before two hexadecimal digits');
  }
}

function refused(message: string): WaymarkError {
  return new WaymarkError('invalid', message);
}
