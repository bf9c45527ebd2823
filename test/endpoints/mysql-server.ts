import type { RunningMariadb } from '../support/mariadb.js';
import type { SqlServer } from './sql-place.js';

/** A MariaDB as tests look at it from outside. @param of  once it runs */
export function mysqlServer(of: () => RunningMariadb): SqlServer {
  return {
    get port() {
      return of().port;
    },
    get password() {
      return of().password;
    },
    url(port) {
      const { user, password } = of();
      return `mysql://${user}:${encodeURIComponent(password)}@127.0.0.1:${port}/events`;
    },
    query: (sql) => of().root(sql),
    commit: '\x03commit',
    quote: (name) => `\`${name.replaceAll('`', '``')}\``,
    async session() {
      const session = await of().session();
      await session.query('use events');
      return { run: (sql) => session.query(sql), end: () => session.end() };
    },
    async endSessions() {
      const sessions = `select id from information_schema.processlist where user = '${of().user}'`;
      for (const [id] of await of().root(sessions)) {
        // One may have left by itself meanwhile.
        await of()
          .root(`kill ${String(id)}`)
          .catch(() => undefined);
      }
    },
    async waiting() {
      const [waits] = await of().root("show status like 'Innodb_row_lock_current_waits'");
      return Number(waits?.[1]);
    },
    async makeText(name) {
      const type = 'longtext character set utf8mb4 collate utf8mb4_bin';
      await of().root(`alter table ${name} modify data ${type}`);
    },
    async createGiven(name) {
      const bytes = 'character set utf8mb4 collate utf8mb4_bin not null';
      await of().root(
        `create table ${name} (n bigint auto_increment primary key, stream text ${bytes}, sequence text ${bytes}, previous text ${bytes}, id text ${bytes}, kind text ${bytes}, namespace text ${bytes}, path text ${bytes}, revision bigint not null, watchers text ${bytes}, data longblob, state boolean not null, replay boolean not null, fence bigint not null, attempt int not null, at datetime(3) not null) engine = InnoDB`,
      );
    },
  };
}
