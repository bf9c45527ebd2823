import { createRequire } from 'node:module';
import { WaymarkError } from 'waymark/engine';

/**
 * Clients of other servers are installed by those who use them. Asked when an endpoint is opened, since the client itself is loaded later.
 *
 * @param scheme  who needs them, for people
 * @throws {WaymarkError} `unavailable`, naming the packages that are missing
 */
export function checkInstalled(
  scheme: string,
  packages: readonly string[],
  from = import.meta.url,
): void {
  const { resolve } = createRequire(from);
  const missing = packages.filter((name) => {
    try {
      resolve(name);
      return false;
    } catch (error) {
      // One that has nothing for `require` is there all the same.
      return (error as { code?: unknown }).code === 'MODULE_NOT_FOUND';
    }
  });
  if (missing.length === 0) return;
  const names = missing.join(' ');
  const noun = missing.length === 1 ? 'package' : 'packages';
  throw new WaymarkError(
    'unavailable',
    `${scheme}:// needs the ${noun} ${names}: npm install ${names}`,
  );
}
