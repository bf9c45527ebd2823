import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * The console's files by name, as its build left them; none where it was not built. Bundles have them within: scripts/console-files.mjs puts
 * them in the place of this module.
 */
export function built(): ReadonlyMap<string, string> {
  const folder = fileURLToPath(new URL('../../../console/dist/', import.meta.url));
  try {
    return new Map(
      readdirSync(folder).map((name) => [name, readFileSync(folder + name, 'utf8')] as const),
    );
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Map();
    throw error;
  }
}
