import assert from 'node:assert/strict';
import type {
  Check,
  CheckTarget,
  Comparison,
  Engine,
  KeyRange,
  LeaseId,
} from '../../core/engine.js';
import { apply, holds, put, putEach, testsOf } from './context.js';

const numeric: readonly CheckTarget[] = ['version', 'create', 'mod', 'lease'];

/** K3: checks, on keys and ranges, against the state before the commit. */
export const checkTests = testsOf('K3', {
  'each target compares in all four ways': async ({ engine }) => {
    const { id } = await engine.grant(60_000, { id: 77 });
    const created = (await apply(engine, put('k', 'm', { lease: id }))).revision;
    await putEach(engine, 'other');
    const modified = (await apply(engine, put('k', 'm', { lease: id }))).revision;
    const facts = { version: 2, create: created, mod: modified, lease: 77 } as const;
    for (const target of numeric) {
      const actual = facts[target as keyof typeof facts];
      await assertComparisons(engine, { key: 'k' }, target, [actual - 1, actual, actual + 1]);
    }
    await assertComparisons(engine, { key: 'k' }, 'value', ['l', 'm', 'mm']);
  },

  'leases compare as numbers of 64 bits': async ({ engine }) => {
    const around: readonly (readonly [LeaseId, LeaseId, LeaseId])[] = [
      [-6, -5, 0],
      [Number.MAX_SAFE_INTEGER, '9007199254740992', '9007199254740993'],
      ['999999999999999999', '1000000000000000000', '9223372036854775807'],
      ['-9223372036854775808', '-9007199254740992', -1],
    ];
    for (const [less, id, more] of around) {
      await engine.grant(60_000, { id });
      await apply(engine, put('k', '', { lease: id }));
      await assertComparisons(engine, { key: 'k' }, 'lease', [less, id, more]);
    }
    await assertComparisons(engine, { key: 'absent' }, 'lease', [-1, 0, '9223372036854775807']);
  },

  'values compare as bytes': async ({ engine }) => {
    await apply(engine, put('k', 'a\x80'));
    assert.ok(await holds(engine, [{ key: 'k', target: 'value', is: '>', to: 'a\x7f' }]));
    assert.ok(await holds(engine, [{ key: 'k', target: 'value', is: '<', to: 'a\xff' }]));
    assert.ok(await holds(engine, [{ key: 'k', target: 'value', is: '>', to: '' }]));
  },

  'an absent key compares as version 0, revisions 0 and no lease, and its value never': async ({
    engine,
  }) => {
    await putEach(engine, 'neighbour');
    await assertAbsent(engine, { key: 'k' });
  },

  'a deleted key is an absent one': async ({ engine }) => {
    await putEach(engine, 'k');
    await apply(engine, { type: 'delete', key: 'k' });
    await assertAbsent(engine, { key: 'k' });
  },

  'a range without keys compares as an absent key': async ({ engine }) => {
    await putEach(engine, 'a', 'm', 'z');
    await apply(engine, { type: 'delete', key: 'm' });
    await assertAbsent(engine, { key: 'b', end: 'z' });
    await assertAbsent(engine, { key: 'zz', end: '' });
  },

  'a check on a range holds when it holds for every key of it': async ({ engine }) => {
    const revisions = await putEach(engine, 'r/1', 'r/2', 'r/3', 's');
    await putEach(engine, 's');
    const range = { key: 'r/', end: 'r0' };
    const [first, second] = revisions as [number, number];
    assert.ok(await holds(engine, [{ ...range, target: 'version', is: '=', to: 1 }]));
    assert.ok(!(await holds(engine, [{ ...range, target: 'version', is: '=', to: 0 }])));
    assert.ok(await holds(engine, [{ ...range, target: 'mod', is: '>', to: first - 1 }]));
    assert.ok(!(await holds(engine, [{ ...range, target: 'mod', is: '>', to: first }])));
    assert.ok(!(await holds(engine, [{ ...range, target: 'create', is: '!=', to: second }])));
    assert.ok(await holds(engine, [{ ...range, target: 'value', is: '!=', to: 'value of s' }]));
    assert.ok(
      !(await holds(engine, [{ ...range, target: 'value', is: '!=', to: 'value of r/3' }])),
    );
  },

  'a range ends before its end, and the empty end is none': async ({ engine }) => {
    await putEach(engine, 'a', 'b', '\xff\xff');
    assert.ok(!(await holds(engine, [{ key: '', end: 'b', target: 'version', is: '=', to: 0 }])));
    assert.ok(await holds(engine, [{ key: 'a\x00', end: 'b', target: 'version', is: '=', to: 0 }]));
    assert.ok(!(await holds(engine, [{ key: 'c', end: '', target: 'version', is: '=', to: 0 }])));
    assert.ok(await holds(engine, [{ key: '', end: '', target: 'version', is: '=', to: 1 }]));
  },

  'all checks of a transaction must hold': async ({ engine }) => {
    await putEach(engine, 'a');
    const yes: Check = { key: 'a', target: 'version', is: '=', to: 1 };
    const no: Check = { key: 'b', target: 'version', is: '=', to: 1 };
    assert.ok(await holds(engine, [yes, yes]));
    assert.ok(!(await holds(engine, [yes, no])));
    assert.ok(!(await holds(engine, [no, yes])));
    assert.ok(await holds(engine, []));
  },

  'nested checks see the state before the commit, not its earlier writes': async ({ engine }) => {
    await putEach(engine, 'there');
    const { results } = await apply(
      engine,
      put('new'),
      { type: 'delete', key: 'there' },
      { type: 'txn', txn: { when: [{ key: 'new', target: 'version', is: '=', to: 0 }] } },
      { type: 'txn', txn: { when: [{ key: 'there', target: 'version', is: '=', to: 1 }] } },
      {
        type: 'txn',
        txn: {
          apply: [
            {
              type: 'txn',
              txn: { when: [{ key: '', end: 'there', target: 'mod', is: '=', to: 0 }] },
            },
          ],
        },
      },
    );
    const nested = results
      .slice(2)
      .map((result) => (result.type === 'txn' ? result.succeeded : null));
    assert.deepEqual(nested, [true, true, true]);
    const inner = results[4];
    assert.ok(inner?.type === 'txn' && inner.results[0]?.type === 'txn');
    assert.equal(inner.results[0].succeeded, true);
  },

  'a nested check decides its own branch alone': async ({ engine }) => {
    const failing = { when: [{ key: 'a', target: 'version', is: '=', to: 9 } as const] };
    const outcome = await apply(
      engine,
      { type: 'txn', txn: { ...failing, apply: [put('then')], otherwise: [put('else')] } },
      put('beside'),
    );
    assert.equal(outcome.succeeded, true);
    assert.ok(outcome.results[0]?.type === 'txn' && !outcome.results[0].succeeded);
    assert.deepEqual(
      (await engine.read({ key: '', end: '' })).entries.map((entry) => entry.key),
      ['beside', 'else'],
    );
  },
});

/** Compares with something below, equal to and above the actual value: each comparison holds for its own. */
async function assertComparisons(
  engine: Engine,
  range: KeyRange,
  target: CheckTarget,
  [below, equal, above]: readonly [number | string, number | string, number | string],
): Promise<void> {
  const table: [number | string, Comparison[]][] = [
    [below, ['!=', '>']],
    [equal, ['=']],
    [above, ['!=', '<']],
  ];
  for (const [to, right] of table) {
    for (const is of ['=', '!=', '<', '>'] as const) {
      const held = await holds(engine, [{ ...range, target, is, to }]);
      assert.equal(held, right.includes(is), `${target} ${is} ${to}`);
    }
  }
}

async function assertAbsent(engine: Engine, range: KeyRange): Promise<void> {
  for (const target of numeric) {
    for (const [is, to, expected] of [
      ['=', 0, true],
      ['!=', 0, false],
      ['>', 0, false],
      ['<', 1, true],
      ['=', 1, false],
      ['!=', 1, true],
    ] as const) {
      assert.equal(
        await holds(engine, [{ ...range, target, is, to }]),
        expected,
        `${target} ${is} ${to}`,
      );
    }
  }
  for (const is of ['=', '!=', '<', '>'] as const) {
    for (const to of ['', 'a']) {
      assert.ok(
        !(await holds(engine, [{ ...range, target: 'value', is, to }])),
        `value ${is} '${to}'`,
      );
    }
  }
}
