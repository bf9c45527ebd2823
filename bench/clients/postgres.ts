import pg from 'pg';
import type { Client } from './client.js';

const poolMax = 10;

export async function connectPostgres(address: string): Promise<Client> {
  const [host = '127.0.0.1', port = '5432'] = address.split(':');
  const client = new pg.Client({ host, port: Number(port), user: 'bench', database: 'postgres' });
  await client.connect();
  const lock = { name: 'lock', text: 'select pg_advisory_lock(hashtext($1))' };
  const unlock = { name: 'unlock', text: 'select pg_advisory_unlock(hashtext($1))' };
  return {
    lock: async (name) => {
      await client.query({ ...lock, values: [name] });
      return () => client.query({ ...unlock, values: [name] });
    },
    close: () => client.end(),
  };
}

/** A table of its own, each put a transaction of its own, over a pool as applications have one. */
export async function connectPostgresPool(address: string): Promise<Client> {
  const [host = '127.0.0.1', port = '5432'] = address.split(':');
  const pool = new pg.Pool({
    host,
    port: Number(port),
    user: 'bench',
    database: 'postgres',
    max: poolMax,
  });
  await pool.query('create table if not exists puts (key text primary key, value text)');
  const put = {
    name: 'put',
    text: 'insert into puts values ($1, $2) on conflict (key) do update set value = excluded.value',
  };
  return {
    put: (key, value) => pool.query({ ...put, values: [key, value] }),
    close: () => pool.end(),
  };
}
