import { expect, test } from 'vitest';
import { systemRandom as randomOfPages } from '../browser/system-clock.js';
import { systemRandom } from './system-clock.js';

test.each([
  ['Node', systemRandom],
  ['a page', randomOfPages],
])('%s: an id is 22 URL-safe characters, and no command takes it for an option', (_, random) => {
  const ids = Array.from({ length: 5_000 }, () => random.id());
  expect(ids.filter((id) => !/^[A-Za-z0-9_][A-Za-z0-9_-]{21}$/.test(id))).toEqual([]);
  expect(new Set(ids).size).toBe(5_000);
});
