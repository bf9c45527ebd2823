import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isWaymarkError } from 'waymark/engine';
import type { DeliveredEvent } from '../endpoint.js';
import { readWordTemplate } from './word-template.js';

const event = (path: string, namespace = 'n'): DeliveredEvent => ({
  id: '1.0',
  kind: 'put',
  namespace,
  path,
  revision: 1,
  sequence: '1',
  previous: '',
  watchers: [],
});

test('what an event says is words of the name: none is added, none is special, and each decodes', () => {
  const segment = fc.string({ unit: 'binary', minLength: 1 }).filter((text) => !text.includes('/'));
  const template = readWordTemplate('name', 'a.{namespace}.{path}');
  fc.assert(
    fc.property(segment, fc.array(segment, { minLength: 1 }), (namespace, segments) => {
      const name = template.fill(event(`/${segments.join('/')}`, namespace));
      expect(name).not.toMatch(/[\s\p{Cc}*#>$]/u);
      expect(name.split('.').map(decodeURIComponent)).toEqual(['a', namespace, ...segments]);
    }),
  );
  expect(template.fill(event('/'))).toBe('a.n.%2F');
});

test('a template without a meaning is refused, naming what it is of', () => {
  for (const text of ['', '{', '{path', '{paths}', '{{path}}', '{}', 'a b', 'a\nb', 'a\u{7f}']) {
    const read = (): unknown => readWordTemplate('subject', text);
    expect(read, text).toThrow(/subject/);
    expect(read).toThrow(expect.toSatisfy((error) => isWaymarkError(error, 'invalid')));
  }
});
