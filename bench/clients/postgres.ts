import pg from 'pg';
import type { Client } from './client.js';

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
