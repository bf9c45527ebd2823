import { expect, test } from 'vitest';
import { open } from '../open.js';
import { text } from './codecs.js';
import { HostNamespace } from './namespace.js';

test('a snapshot comes in pages of about 1 MiB: however large its values are, few of them are decoded at once', async () => {
  await using space = await open('memory:');
  const ns = space.namespace('n', { codec: text });
  if (!(ns instanceof HostNamespace)) throw new Error('a space of another make');
  for (let n = 0; n < 30; n++) await ns.put(`/large/${n}`, 'v'.repeat(300_000));
  for (let n = 0; n < 30; n++) await ns.put(`/small/${n}`, 'v');
  const pages: (readonly [number, boolean])[] = [];
  for await (const { events, resume } of ns.watchGroups('/', { tree: true })) {
    pages.push([events.length, resume === undefined]);
    if (resume !== undefined) break;
  }
  expect(pages).toEqual([...Array.from({ length: 7 }, () => [4, true]), [32, true], [0, false]]);
});
