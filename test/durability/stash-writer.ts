import { writeSync } from 'node:fs';
import { openStore, packEntries } from '@waymark/server/testing';
import { seededRandom } from './seeded-random.js';

/** A process that writes to a node's store until it is killed, and tells on its standard output what was acknowledged. */
const [directory = '', seed = '0', firstStamp = '1'] = process.argv.slice(2);
const random = seededRandom(Number(seed));
const store = await openStore(directory);
let stamp = Math.max(Number(firstStamp), store.stamps.high + 1);
const tell = (line: unknown): void => void writeSync(1, `${JSON.stringify(line)}\n`);
tell({ ready: stamp });

/** Eight at a time, as several coordinators write. */
await Promise.all(
  Array.from({ length: 8 }, async () => {
    for (;;) {
      const count = 1 + Math.floor(random.next() * 20);
      const part = Array.from({ length: count }, () => {
        const key = `key/${Math.floor(random.next() * 500)}`;
        const own = stamp++;
        const value = random.next() < 0.1 ? null : `${key} ${own} ${'x'.repeat(own % 700)}`;
        return { key, stamp: own, writer: 1, expiresAt: 0, value };
      });
      await store.write('some', packEntries(part));
      tell({ acknowledged: part.map(({ key, stamp: own }) => [key, own]) });
    }
  }),
);
