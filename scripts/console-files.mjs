import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../packages/console/dist/', import.meta.url));

/** Puts the console's files, once they are built, into a bundle of the server. */
export function consoleFiles() {
  return {
    name: 'console-files',
    load(id) {
      if (!id.replaceAll('\\', '/').endsWith('/console/built.js')) return null;
      const files = readdirSync(folder).map((name) => [
        name,
        readFileSync(join(folder, name), 'utf8'),
      ]);
      return `const files = new Map(${JSON.stringify(files)});\nexport const built = () => files;`;
    },
  };
}
