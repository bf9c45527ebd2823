import { expect, type test as vitestTest } from 'vitest';
import { codecs, type Space, type StashKey } from 'waymark';

export interface IndexContext {
  readonly space: Space;
  close(): Promise<void>;
}

/** What an index promises, whatever stands behind it: rules D3 and D7 as an application sees them. */
export function stashSuite({
  test,
  name,
  open,
}: {
  readonly test: typeof vitestTest;
  readonly name: string;
  readonly open: () => Promise<IndexContext>;
}): void {
  const it = (title: string, run: (space: Space) => Promise<void>): void => {
    test(`${title} (${name})`, async () => {
      const context = await open();
      try {
        await run(context.space);
      } finally {
        await context.close();
      }
    });
  };

  it('[D3.1] a put is read, told how many have it, and replaced; a delete is final', async ({
    stash,
  }) => {
    const index = stash.index<unknown>('myIndex');
    const { replicas, writeQuorum } = await stash.status();
    const done = await index.put('myKey', 'myValue');
    expect(done.replicas).toBe(replicas);
    expect(done.flushed).toBeGreaterThanOrEqual(writeQuorum);
    expect(await index.get('myKey')).toBe('myValue');
    await index.put('myKey', 'another');
    expect(await index.get('myKey')).toBe('another');
    expect(await index.has('myKey')).toBe(true);
    await index.delete('myKey');
    expect(await index.get('myKey')).toBeUndefined();
    expect(await index.has('myKey')).toBe(false);
    await index.delete('never there');
  });

  it('[D3.5] batches keep the order of their keys, and tell what is missing', async ({ stash }) => {
    const index = stash.index<number>('batch');
    const count = 5_000;
    const entries = Array.from({ length: count }, (_, i) => [`k${i}`, i] as const);
    expect(await index.putMany(entries)).toBe(count);
    const keys: string[] = entries.map(([key]) => key).toReversed();
    keys.splice(2_500, 0, 'missing');
    const values = await index.getMany(keys);
    expect(values.length).toBe(count + 1);
    expect(values[2_500]).toBeUndefined();
    expect(values.toSpliced(2_500, 1)).toEqual(entries.map(([, i]) => i).toReversed());
    expect(await index.deleteMany(keys.slice(0, 2_500))).toBe(2_500);
    const left = await index.getMany(keys);
    expect(left.filter((value) => value !== undefined).length).toBe(2_500);
    expect(await index.getMany([])).toEqual([]);
    expect(await index.putMany([])).toBe(0);
  });

  it('[D3.5] batches are read from streams, and answered as streams', async ({ stash }) => {
    const index = stash.index<number>('streamed');
    expect(await index.putMany(counting(3_000))).toBe(3_000);
    let next = 0;
    const asked = (async function* () {
      for await (const [key] of counting(3_000)) yield key;
    })();
    for await (const [key, value] of index.getEach(asked)) {
      expect([key, value]).toEqual([next, next]);
      next++;
    }
    expect(next).toBe(3_000);
    for await (const [key] of index.getEach([1, 2])) if (key === 1) break;
  });

  it('[D3.5] values of 1 MiB go through in a batch of any size', async ({ stash }) => {
    const index = stash.index('large', { codec: codecs.bytes });
    const value = new Uint8Array(1_048_576).fill(7);
    await index.putMany(Array.from({ length: 6 }, (_, i) => [i, value] as const));
    const values = await index.getMany([0, 1, 2, 3, 4, 5, 6]);
    expect(values.map((found) => found?.length)).toEqual([
      ...Array(6).fill(value.length),
      undefined,
    ]);
    expect(values.every((found) => found === undefined || Buffer.compare(found, value) === 0)).toBe(
      true,
    );
  });

  it('[D3.5] of a key that comes twice in a batch the later value holds', async ({ stash }) => {
    const index = stash.index<number>('twice');
    await index.putMany(Array.from({ length: 2_500 }, (_, i) => [i % 2, i] as const));
    expect(await index.getMany([0, 1])).toEqual([2_498, 2_499]);
  });

  it('[D3.6] a scan gives each entry once, by prefix where wanted, and goes on after a page', async ({
    stash,
  }) => {
    const index = stash.index<number>('scanned');
    await index.putMany(Array.from({ length: 2_500 }, (_, i) => [`user/${i}`, i] as const));
    await index.putMany([
      ['other', -1],
      [['user', 1], -2],
    ]);
    await index.delete('user/7');
    const found = new Map<string, number>();
    for await (const [key, value] of index.scan({ prefix: 'user/' })) {
      expect(found.has(String(key))).toBe(false);
      found.set(String(key), value);
    }
    expect(found.size).toBe(2_499);
    expect(found.get('user/8')).toBe(8);
    const keys: unknown[] = [];
    for await (const key of index.keys()) keys.push(key);
    expect(keys.length).toBe(2_501);
    expect(keys).toContainEqual(['user', 1]);
    const paged: unknown[] = [];
    for (let after: string | undefined; ;) {
      const page = await index.page({ prefix: 'user/', after, limit: 700 });
      expect(page.entries.length).toBeLessThanOrEqual(700);
      paged.push(...page.entries.map(([key]) => key));
      if (page.next === null) break;
      after = page.next;
    }
    expect(new Set(paged)).toEqual(new Set(found.keys()));
    expect(paged.length).toBe(found.size);
    await expect(index.page({ after: 'nonsense' })).rejects.toMatchObject({ code: 'invalid' });
  });

  it('[D3.6] a scan of values that fill its pages early gives each entry once', async ({
    stash,
  }) => {
    const index = stash.index('wide', { codec: codecs.bytes });
    const sizeOf = (i: number): number => 20_000 + ((i * 7_919) % 200_000);
    await index.putMany(
      Array.from({ length: 80 }, (_, i) => [i, new Uint8Array(sizeOf(i))] as const),
    );
    const found: unknown[] = [];
    for await (const [key, value] of index.scan()) {
      expect(value.length).toBe(sizeOf(key as number));
      found.push(key);
    }
    expect(found.length).toBe(80);
    expect(new Set(found).size).toBe(80);
  });

  it('[D7.1] keys of all kinds are told apart, and come back from a scan', async ({ stash }) => {
    const index = stash.index<number>('kinds');
    const keys: StashKey[] = [
      ...['1', 1, 1n, -1.5, Buffer.from('1'), ['1'], [1], [1n], [Buffer.from('1')], []],
      ...[['a', 'b'], ['a\0b'], 'a\0b', 'äöü €', -(2n ** 70n), Number.POSITIVE_INFINITY],
    ];
    await index.putMany(keys.map((key, i) => [key, i] as const));
    expect(await index.getMany(keys)).toEqual(keys.map((_, i) => i));
    const keyed = { toKey: () => Uint8Array.of(9, 9) };
    await index.put(keyed, 99);
    expect(await index.get(Uint8Array.of(9, 9))).toBe(99);
    let count = 0;
    for await (const [key, value] of index.scan()) {
      expect(await index.get(key)).toBe(value);
      count++;
    }
    expect(count).toBe(keys.length + 1);
  });

  it('[D7.2] what is no key, no value or no index is refused before anything is written', async ({
    stash,
  }) => {
    const index = stash.index<unknown>('refused');
    const invalid = { code: 'invalid' };
    for (const key of ['', Number.NaN, '\ud800', null, {}, [['nested']]]) {
      await expect(index.put(key as StashKey, 1), String(key)).rejects.toMatchObject(invalid);
    }
    await expect(index.put('k', undefined)).rejects.toMatchObject(invalid);
    await expect(index.put('k', () => 1)).rejects.toMatchObject(invalid);
    const long = 'k'.repeat(1_024);
    await index.put(long, 1);
    await expect(index.put(`${long}k`, 1)).rejects.toMatchObject({ code: 'too_large' });
    const large = stash.index('refused', { codec: codecs.bytes });
    await large.put('edge', new Uint8Array(1_048_576));
    await expect(large.put('k', new Uint8Array(1_048_577))).rejects.toMatchObject({
      code: 'too_large',
    });
    for (const name of ['', 'a\nb']) {
      await expect(stash.index(name).get('k')).rejects.toMatchObject(invalid);
    }
    await expect(stash.index('n'.repeat(129)).get('k')).rejects.toMatchObject({
      code: 'too_large',
    });
    await expect(index.put('k', 1, { ttlMs: 0 })).rejects.toMatchObject(invalid);
    await expect(index.get('k', { deadlineMs: 0 })).rejects.toMatchObject(invalid);
    expect(await index.get('k')).toBeUndefined();
  });

  it('[D7.4] values come back as they were, with the default codec and with any other', async ({
    stash,
  }) => {
    const value = {
      ...{ big: 2n ** 80n, small: -5n, date: new Date(12_345), bytes: Uint8Array.of(0, 255) },
      ...{ map: new Map<unknown, unknown>([[{ a: 1 }, new Set([1, 'x'])]]), nan: Number.NaN },
      ...{
        none: undefined,
        nil: null,
        list: [1, undefined, 3],
        zero: -0,
        text: 'ä\ud800',
        deep: [[{}]],
      },
    };
    const index = stash.index<unknown>('values');
    await index.put('v', value);
    expect(await index.get('v')).toEqual(value);
    await index.put('null', null);
    expect(await index.get('null')).toBeNull();
    await stash.index('json', { codec: codecs.json }).put('v', { a: [1] });
    expect(await stash.index('json', { codec: codecs.json }).get('v')).toEqual({ a: [1] });
    await expect(index.get('v').then(() => stash.index('json').get('v'))).rejects.toMatchObject({
      code: 'invalid',
    });
  });

  it('[D3.7] indexes are apart from each other, and told when they have entries', async ({
    stash,
  }) => {
    await stash.index('one').put('k', 1);
    await stash.index('zwei ä').put('k', 2);
    expect(await stash.index('one').get('k')).toBe(1);
    expect(await stash.index('zwei ä').get('k')).toBe(2);
    expect(await stash.index('three').get('k')).toBeUndefined();
    expect(await stash.indexes()).toEqual(['one', 'zwei ä']);
  });
}

async function* counting(count: number): AsyncGenerator<readonly [number, number]> {
  for (let i = 0; i < count; i++) yield [i, i];
}
