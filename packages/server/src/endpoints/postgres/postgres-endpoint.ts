import type { EndpointKind } from '../endpoint.js';
import { checkInstalled } from '../kit/installed.js';
import { readSqlUri, type SqlUriRules } from '../kit/sql-place.js';
import { openSqlSink } from '../kit/sql-sink.js';
import { postgresDialect } from './postgres-dialect.js';

const rules: SqlUriRules = {
  ports: { postgres: 5432, postgresql: 5432 },
  parameters: ['table', 'create', 'sslmode'],
  scheme: 'postgres',
  nameBytesMax: 63,
  schemas: true,
  sslModes: () => ['disable', 'require', 'verify-ca', 'verify-full'],
};

/** A table of PostgreSQL: docs/endpoints/postgres.md. */
export const postgresEndpoint: EndpointKind = {
  name: 'postgres',
  schemes: Object.keys(rules.ports),
  eventsMax: 1_000,
  bytesMax: 4 * 1_048_576,
  parse: (uri, settings) => readSqlUri(uri, settings, rules).target,
  open(target, settings, tools) {
    checkInstalled('postgres', ['pg']);
    const place = readSqlUri(target.uri, settings, rules);
    const dialect = postgresDialect(place, settings.timeoutMs, tools.dialer);
    return openSqlSink({ dialect, place, settings }, tools);
  },
};
