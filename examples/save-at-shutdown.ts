// A space in memory whose content outlives the process: saved at shutdown, loaded at start. (`file:` does better: it keeps every
// write. This is for what may be lost in a crash.)
//
//   node examples/dist/save-at-shutdown.js state.json
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { type NamespaceDump, open } from 'waymark';

const file = process.argv[2] ?? 'state.json';
const space = await open();
const notes = space.namespace<string>('notes');
if (existsSync(file)) await notes.load(JSON.parse(readFileSync(file, 'utf8')) as NamespaceDump);

console.log(`${(await notes.tree('/')).entries.length} notes`);
for await (const line of createInterface({ input: process.stdin }))
  await notes.put(`/${Date.now()}-${line}`, line);

// Written beside and renamed, so that a crash leaves the old file whole.
writeFileSync(`${file}.new`, JSON.stringify(await notes.dump()));
renameSync(`${file}.new`, file);
await space.close();
