import { createMemoryEngine } from 'waymark/engine';
import { serveOne } from '../support/two-servers.js';

/** Servers over one engine in a process of their own. Tells where they are, and ends with who started it. */
const engine = createMemoryEngine();
const count = Number(process.argv[2]);
const servers = await Promise.all(Array.from({ length: count }, () => serveOne(engine)));
process.once('disconnect', () => process.exit());
process.send?.(servers.map(({ url }) => url));
