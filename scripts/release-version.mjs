/** `node scripts/release-version.mjs vX.Y.Z` ends with 1 unless every package that is published, and what they ask of each other, has that version. */
import { readFileSync } from 'node:fs';

const wanted = process.argv[2]?.replace(/^v/, '');
const read = (name) =>
  JSON.parse(readFileSync(new URL(`../packages/${name}/package.json`, import.meta.url), 'utf8'));
const [library, server] = [read('waymark'), read('server')];
const found = [library.version, server.version, server.dependencies.waymark];
if (found.some((version) => version !== wanted)) {
  console.error(
    `the tag says ${wanted}; waymark is ${found[0]}, @waymark/server ${found[1]}, and needs waymark ${found[2]}`,
  );
  process.exitCode = 1;
}
