import { writeSync } from 'node:fs';
import { openFileEngine } from 'waymark/engine';
import { Ledger, wholeState } from './ledger.js';
import { seededRandom } from './seeded-random.js';

/** A process that writes until it is killed, and tells on its standard output what it does. */
const [directory = '', seed = '0', serial = '0', needed = '0'] = process.argv.slice(2);
const neededAfter = Number(needed);
const tell = (line: unknown): void => void writeSync(1, `${JSON.stringify(line)}\n`);

/** Snapshots keep the history after it. */
const history = { needed: (): number => neededAfter };
const engine = await openFileEngine(directory, { snapshotLogBytes: 400_000, history });
const ledger = new Ledger(seededRandom(Number(seed)), tell, Number(serial));
ledger.adopt(await wholeState(engine));
tell({ type: 'ready' });
await ledger.run(engine, Infinity);
