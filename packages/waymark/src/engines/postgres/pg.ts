import type * as PgModule from 'pg';
import { WaymarkError } from '../../core/errors.js';

export type Pg = typeof PgModule;

/** Loaded when a PostgreSQL engine is opened: who uses none need not install it. */
export async function loadPg(): Promise<Pg> {
  try {
    const { default: pg } = await import('pg');
    return pg as unknown as Pg;
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new WaymarkError(
      'invalid',
      'postgres:// needs the package pg: npm install pg',
      {},
      error,
    );
  }
}
