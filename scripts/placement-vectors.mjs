/**
 * Writes docs/spec/placement.json: what the stash's hashes and placements come to, for who writes them in another language. Run it after a build; test/stash/placement.test.ts
 * works all of it out once more in another way.
 */
import { writeFile } from 'node:fs/promises';
import { hash64, KeyHash, Placement } from '../packages/waymark/dist/bundle/stash.js';

const latin1 = (text) => Buffer.from(text, 'utf8').toString('latin1');
const hex = (bytes) => Buffer.from(bytes, 'latin1').toString('hex');
const word = ({ high, low }) =>
  high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0');

const hashed = ['', 'a', 'myIndex', 'Wägemarke', '\0', 'x'.repeat(100)].map(latin1);
const keys = [
  ['myIndex', 'myKey'],
  ['myIndex', 'myKey2'],
  ['', 'k'],
  ['größe', 'schlüssel'],
  ...Array.from({ length: 8 }, (_, i) => ['users', `user/${i}`]),
];

const nodes = (count, zones = ['a'], weights = [1]) =>
  Array.from({ length: count }, (_, i) => ({
    id: `node-${i}`,
    zone: zones[i % zones.length],
    weight: weights[i % weights.length],
  }));
const placed = [
  { replicas: 3, nodes: nodes(1) },
  { replicas: 3, nodes: nodes(3) },
  { replicas: 3, nodes: nodes(5) },
  { replicas: 3, nodes: nodes(6, ['a', 'b', 'c']) },
  { replicas: 3, nodes: nodes(5, ['a', 'b']) },
  { replicas: 2, nodes: nodes(4, ['a'], [1, 2, 0.5, 1]) },
];
const partitions = [0, 1, 2, 3, 1_000, 2_047, 2_048, 4_094, 4_095];

const vectors = {
  about: 'Rules D1.1 to D1.3 of docs/spec/stash.md. Bytes are in hexadecimal.',
  hashes: hashed.map((bytes) => ({ bytes: hex(bytes), hash: word(hash64(bytes)) })),
  partitions: keys.map(([index, key]) => ({
    index,
    key: hex(latin1(key)),
    partition: new KeyHash(latin1(index)).partition(latin1(key)),
  })),
  placements: placed.map((view) => {
    const placement = new Placement(view.nodes, view.replicas);
    const replicas = (partition) => placement.of(partition).map(({ id }) => id);
    return {
      ...view,
      partitions: partitions.map((partition) => ({ partition, replicas: replicas(partition) })),
    };
  }),
};

const path = new URL('../docs/spec/placement.json', import.meta.url);
await writeFile(path, `${JSON.stringify(vectors, null, 2)}\n`);
