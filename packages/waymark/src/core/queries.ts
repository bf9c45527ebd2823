import type { Query } from './engine.js';

/** Whether nothing but the key is asked about, of the present. */
export function asksForOne(query: Query): boolean {
  const { end, at, limit, orderBy } = query;
  const one = end === undefined && at === undefined && limit === undefined;
  return one && orderBy === undefined && isPlain(query);
}

/** Whether it asks for whole entries, without filters. */
export function isPlain(query: Query): boolean {
  return (
    query.keysOnly !== true &&
    query.countOnly !== true &&
    query.minModRevision === undefined &&
    query.maxModRevision === undefined &&
    query.minCreateRevision === undefined &&
    query.maxCreateRevision === undefined
  );
}
