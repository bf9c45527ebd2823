import { Failures } from './outcome.js';
import type { Routes } from './routes.js';

/** An entry is on so many nodes that some may be missing. */
export async function indexesOf(routes: Routes, withinMs: number): Promise<readonly string[]> {
  const failures = new Failures();
  let failed = 0;
  const lists = await Promise.all(
    routes.readable.map(async (link) => {
      try {
        return await link.run((node) => node.indexes({ withinMs }));
      } catch (error) {
        failures.add(link.id, error);
        failed++;
        return [];
      }
    }),
  );
  if (failed < routes.writeQuorum) return [...new Set(lists.flat())].sort();
  throw failures.refused(`${failed} of ${routes.readable.length} nodes did not tell their indexes`);
}
