import assert from 'node:assert/strict';
import type { KeyRange } from '../../core/engine.js';
import { prefixRange } from '../../core/ranges.js';
import {
  apply,
  entryOf,
  everything,
  keysOf,
  put,
  putEach,
  refused,
  testsOf,
  Watching,
} from './context.js';

const allBytes = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));

/** K5: keys and values are strings of bytes, in byte order. */
export const keyTests = testsOf('K5', {
  'keys of every byte lie in byte order': async ({ engine }) => {
    const shuffled = [...allBytes].sort((a, b) => scatter(a) - scatter(b));
    for (let from = 0; from < 256; from += 64) {
      await apply(engine, ...shuffled.slice(from, from + 64).map((key) => put(key)));
    }
    assert.deepEqual(await keysOf(engine), allBytes);
    assert.deepEqual(await keysOf(engine, { key: '\x7f', end: '\x82' }), ['\x7f', '\x80', '\x81']);
    assert.deepEqual(await keysOf(engine, { key: '\xfe', end: '' }), ['\xfe', '\xff']);
  },

  'a longer key sorts after its beginning, and NUL before all else': async ({ engine }) => {
    const keys = [
      'a',
      'a\x00',
      'a\x00\x00',
      'a\x00b',
      'a\x01',
      'a ',
      'a/',
      'a0',
      'aa',
      'b',
      '\xff',
      '\xff\xff',
    ];
    await apply(engine, ...[...keys].reverse().map((key) => put(key)));
    assert.deepEqual(await keysOf(engine), keys);
    assert.deepEqual(await keysOf(engine, { key: 'a', end: 'a\x00' }), ['a']);
  },

  'values hold every byte, and may be empty': async ({ engine }) => {
    const value = allBytes.join('');
    await apply(engine, put('all', value), put('none', ''));
    assert.equal((await entryOf(engine, 'all'))?.value, value);
    assert.equal((await entryOf(engine, 'none'))?.value, '');
  },

  'the empty end of a range is no bound, for reads, deletes and watches': async (context) => {
    const { engine } = context;
    const watching = new Watching(context, [{ key: 'b', end: '' }], { after: 0 });
    await putEach(engine, 'a', 'b', '\xff', '\xff\xff\xff');
    assert.deepEqual(await keysOf(engine, { key: 'b', end: '' }), ['b', '\xff', '\xff\xff\xff']);
    assert.deepEqual(await keysOf(engine), ['a', 'b', '\xff', '\xff\xff\xff']);
    const seen = (await watching.collect(3)).map(({ entry }) => entry.key);
    assert.deepEqual(seen, ['b', '\xff', '\xff\xff\xff']);
    await apply(engine, { type: 'delete', key: 'b', end: '' });
    assert.deepEqual(await keysOf(engine), ['a']);
    await watching.leave();
  },

  'a range of a prefix holds what begins with it and nothing else': async ({ engine }) => {
    await putEach(engine, 'a', 'a/', 'a/b', 'a/b/c', 'a0', 'ab', 'b/', 'q\xff', 'q\xff\xffz', 'r');
    assert.deepEqual(await keysOf(engine, prefixRange('a/')), ['a/', 'a/b', 'a/b/c']);
    assert.deepEqual(await keysOf(engine, prefixRange('q\xff')), ['q\xff', 'q\xff\xffz']);
    assert.deepEqual(await keysOf(engine, { key: 'a' }), ['a']);
  },

  'names of the language are plain keys': async ({ engine }) => {
    const names = ['__proto__', 'constructor', 'hasOwnProperty', 'prototype', 'toString'];
    for (const name of names) assert.equal(await entryOf(engine, name), null);
    await putEach(engine, ...names);
    assert.deepEqual(await keysOf(engine), names);
    await apply(engine, { type: 'delete', key: '__proto__' });
    assert.deepEqual(await keysOf(engine), names.slice(1));
  },

  'an empty key, a char above 0xff and what is no string are invalid': async ({ engine }) => {
    for (const key of ['', 'ü\u0100', '€', '\ud800', undefined, null, 7, {}] as string[]) {
      await refused(apply(engine, { type: 'put', key, value: '' }), 'invalid');
      await refused(engine.read({ key }), 'invalid');
      await refused(apply(engine, { type: 'delete', key }), 'invalid');
      await refused(
        engine.commit({ when: [{ key, target: 'version', is: '=', to: 0 }] }),
        'invalid',
      );
    }
    for (const value of ['€', '\udfff', undefined, null, 7] as string[]) {
      await refused(apply(engine, { type: 'put', key: 'k', value }), 'invalid');
    }
    assert.deepEqual(await keysOf(engine), []);
  },

  'a range that ends at or before its start is invalid': async (context) => {
    const { engine } = context;
    const wrong: KeyRange[] = [
      { key: 'b', end: 'a' },
      { key: 'b', end: 'b' },
      { key: 'b', end: '€' },
      { key: 'a', end: 5 as unknown as string },
    ];
    for (const range of wrong) {
      await refused(engine.read(range), 'invalid');
      await refused(apply(engine, { type: 'delete', ...range }), 'invalid');
      await refused(new Watching(context, [range], { after: 0 }).pull(), 'invalid');
    }
    await refused(new Watching(context, [], { after: 0 }).pull(), 'invalid');
  },

  'the range of everything begins with the empty key': async ({ engine }) => {
    await putEach(engine, '\x00', '\xff');
    assert.deepEqual(await keysOf(engine, everything), ['\x00', '\xff']);
    assert.deepEqual(await keysOf(engine, { key: '', end: '\x00\x00' }), ['\x00']);
  },
});

/** Some order that is not that of the bytes. */
function scatter(byte: string): number {
  return (byte.charCodeAt(0) * 167 + 13) % 256;
}
