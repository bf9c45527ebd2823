import { isIP } from 'node:net';
import { WaymarkError } from 'waymark/engine';
import type { EndpointKind } from '../endpoint.js';
import { checkInstalled } from '../kit/installed.js';
import { openSqlSink } from '../kit/sql-sink.js';
import { readSqlUri, type SqlUriRules } from '../kit/sql-place.js';
import { mysqlDialect } from './mysql-dialect.js';

const rules: SqlUriRules = {
  ports: { mysql: 3306, mysqls: 3306 },
  parameters: ['create', 'sslmode'],
  scheme: 'mysql',
  nameBytesMax: 64,
  schemas: false,
  sslModes: (scheme) =>
    scheme === 'mysql' ? ['disable'] : ['verify-full', 'verify-ca', 'require'],
};

/** A table of MySQL or MariaDB: docs/endpoints/mysql.md. */
export const mysqlEndpoint: EndpointKind = {
  name: 'mysql',
  schemes: Object.keys(rules.ports),
  eventsMax: 1_000,
  bytesMax: 4 * 1_048_576,
  parse(uri, settings) {
    const { target, parts, sslMode } = readSqlUri(uri, settings, rules);
    if (sslMode === 'verify-full' && isIP(parts.host) !== 0) {
      throw new WaymarkError(
        'invalid',
        'mysqls:// checks the name in the certificate: write a host name, or sslmode=verify-ca',
      );
    }
    return target;
  },
  open(target, settings, tools) {
    checkInstalled('mysql', ['mysql2']);
    const place = readSqlUri(target.uri, settings, rules);
    return openSqlSink({ dialect: mysqlDialect(place, tools.dialer), place, settings }, tools);
  },
};
