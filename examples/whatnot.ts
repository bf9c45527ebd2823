// A resource that others extend below its key while its owner watches: each addition appears at the owner's as it is made, and the
// owner alone, elected for the resource, sums them up. When it dies, the next owner goes on where it stopped.
//
//   node examples/dist/whatnot.js http://127.0.0.1:7420 own printer-1 /printers/3      (as many as you like: one owns, the others wait)
//   node examples/dist/whatnot.js http://127.0.0.1:7420 extend /printers/3 tray=2 toner=black
//   node examples/dist/whatnot.js memory: alone /printers/3 tray=2 toner=black        (one process owns and extends)
import { isWaymarkError, open, type Space, type Term } from 'waymark';

interface Summary {
  readonly owner: string;
  readonly parts: number;
}

const [, , url = 'http://127.0.0.1:7420', role = 'own', ...rest] = process.argv;
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());
if (role === 'extend') {
  const space = await open(url);
  await extend(space, rest[0] ?? '/whatnot', rest.slice(1));
  await space.close();
} else if (role === 'alone') {
  const space = await open(url, { owner: 'alone' });
  const owning = own(space, 'alone', rest[0] ?? '/whatnot');
  await extend(space, rest[0] ?? '/whatnot', rest.slice(1));
  stop.abort();
  await owning;
  await space.close();
} else {
  const name = rest[0] ?? `owner-${process.pid}`;
  const space = await open(url, { owner: name });
  await own(space, name, rest[1] ?? '/whatnot');
  await space.close();
}

/** Writes below the key, which need not be there yet, and waits until the owner has told that it saw it. */
async function extend(space: Space, path: string, parts: readonly string[]): Promise<void> {
  const resource = space.namespace<string>('whatnot').at(path);
  for (const part of parts) {
    const [name = '', value = ''] = part.split('=');
    const { revision } = await resource.put(`parts/${name}`, value);
    console.log(`extended ${path} by ${name} at revision ${revision}`);
  }
  const total = (await resource.tree('parts')).entries.length;
  const election = space.namespace<Summary>('whatnot').election(path);
  for await (const leader of election.observe()) {
    if ((leader?.value?.parts ?? 0) < total) continue;
    console.log(`${leader?.owner} counts ${leader?.value?.parts} parts`);
    break;
  }
}

/** Leads the resource and watches what is below it. */
async function own(space: Space, name: string, path: string): Promise<void> {
  const election = space.namespace<Summary>('whatnot').election(path);
  console.log('ready');
  while (!stop.signal.aborted) {
    try {
      const term = await election.campaign({ ttlMs: 2_000, signal: stop.signal });
      try {
        await watchOver(term);
      } finally {
        await term.release();
      }
    } catch (error) {
      if (stop.signal.aborted) break;
      // Lost, or the server went away: stand again.
      if (!isWaymarkError(error)) throw error;
    }
  }

  async function watchOver(term: Term<Summary>): Promise<void> {
    console.log(`${name} owns ${path} in term ${term.token}`);
    const parts = new Set<string>();
    const signal = AbortSignal.any([term.signal, stop.signal]);
    const resource = space.namespace<string>('whatnot').at(path);
    for await (const event of resource.watch('parts', { tree: true, locks: false, signal })) {
      if (event.kind === 'put') {
        parts.add(event.path);
        console.log(`${name} sees ${event.path} = ${event.entry.value}`);
      } else if (event.kind === 'delete') parts.delete(event.path);
      // Told under the term: an owner that was deposed meanwhile is refused with `lost`.
      await term.proclaim({ owner: name, parts: parts.size });
    }
  }
}
