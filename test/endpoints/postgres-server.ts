import pg from 'pg';
import type { RunningPostgres } from '../support/postgres.js';
import type { SqlServer } from './sql-place.js';

export const senderPassword = "pa'ss:/@word";

/** The role that deliveries come as. */
export async function addSender(root: pg.Client): Promise<void> {
  await root.query(
    `create role sender login password ${root.escapeLiteral(senderPassword)}; grant create, usage on schema public to sender`,
  );
}

/** A PostgreSQL as tests look at it from outside. @param of  once it runs, and a session of its superuser */
export function postgresServer(
  of: () => { readonly root: pg.Client; readonly postgres: RunningPostgres },
): SqlServer {
  return {
    password: senderPassword,
    get port() {
      return of().postgres.port;
    },
    url: (port) =>
      `postgres://sender:${encodeURIComponent(senderPassword)}@127.0.0.1:${port}/postgres`,
    quote,
    commit: 'commit\0',
    async session() {
      const session = new pg.Client({ connectionString: of().postgres.url });
      await session.connect();
      // Of two that wait for each other, the one that delivers finds out first.
      await session.query("set deadlock_timeout = '60s'");
      return { run: (sql) => session.query(sql), end: () => session.end() };
    },
    async endSessions() {
      await of().root.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where usename = 'sender'`,
      );
    },
    async waiting() {
      const waits = `select count(*) from pg_stat_activity where wait_event_type = 'Lock'`;
      const { rows } = await of().root.query<{ count: string }>(waits);
      return Number(rows[0]?.count);
    },
    async query(sql) {
      const { rows } = await of().root.query({ text: sql, rowMode: 'array' });
      return rows as unknown[][];
    },
    async makeText(name) {
      await of().root.query(`alter table ${name} alter column data type text using null`);
    },
    async createGiven(name) {
      await of().root.query(
        `create table ${name} (n bigserial primary key, stream varchar not null, sequence varchar not null, previous varchar not null, id varchar not null, kind varchar not null, namespace varchar not null, path text not null, revision numeric not null, watchers text not null, data bytea, state boolean not null, replay boolean not null, fence bigint not null, attempt smallint not null, at timestamp not null); grant all on ${name}, ${name}_n_seq to sender`,
      );
    },
  };
}

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;
