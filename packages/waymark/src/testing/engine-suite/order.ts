import assert from 'node:assert/strict';
import type { Check, Engine, Outcome } from '../../core/engine.js';
import { apply, entryOf, everything, put, testsOf, Watching } from './context.js';

/** K1: one total order of commits, by revision. */
export const orderTests = testsOf('K1', {
  'revisions of commits that follow each other grow, and are positive safe integers': async ({
    engine,
  }) => {
    let last = 0;
    for (let round = 0; round < 50; round++) {
      const { revision } = await apply(engine, put(`key-${round % 7}`));
      assert.ok(Number.isSafeInteger(revision) && revision > last);
      last = revision;
    }
  },

  'a read that begins after a commit was answered is not true at less': async ({ engine }) => {
    for (let round = 0; round < 20; round++) {
      const { revision } = await apply(engine, put('key', String(round)));
      const reading = await engine.read({ key: 'key' });
      assert.ok(reading.revision >= revision);
      assert.equal(reading.entries[0]?.value, String(round));
    }
  },

  'concurrent writers of one key never share a revision, and versions follow revisions': async (
    context,
  ) => {
    const { engine } = context;
    const puts = Array.from({ length: 64 }, (_, n) =>
      apply(engine, put('contended', String(n), { previous: true })),
    );
    const outcomes = (await Promise.all(puts)).sort((a, b) => a.revision - b.revision);
    assert.equal(new Set(outcomes.map((outcome) => outcome.revision)).size, 64);
    assert.deepEqual(
      outcomes.map((outcome) => previousVersion(outcome)),
      outcomes.map((_, n) => n),
    );
    assert.equal((await entryOf(engine, 'contended'))?.modRevision, outcomes.at(-1)?.revision);
  },

  'a commit that checks or reads what another writes never shares its revision': async ({
    engine,
  }) => {
    const commits: Promise<Outcome>[] = [];
    for (let n = 0; n < 32; n++) {
      commits.push(apply(engine, put('watched', String(n))));
      commits.push(
        engine.commit({
          when: [{ key: 'watched', target: 'version', is: '>', to: 0 }],
          apply: [put(`checker-${n}`)],
          otherwise: [put(`checker-${n}`)],
        }),
      );
      commits.push(apply(engine, { type: 'read', key: 'w', end: 'x' }, put(`reader-${n}`)));
    }
    const outcomes = await Promise.all(commits);
    const written = new Set(
      outcomes.filter((_, n) => n % 3 === 0).map((outcome) => outcome.revision),
    );
    assert.equal(written.size, 32);
    for (const [n, outcome] of outcomes.entries()) {
      if (n % 3 !== 0) assert.ok(!written.has(outcome.revision));
    }
  },

  'increments by compare and set lose none': async ({ engine }) => {
    await apply(engine, put('counter', '0'));
    const workers = Array.from({ length: 8 }, async () => {
      for (let n = 0; n < 10; n++) while (!(await increment(engine))) continue;
    });
    await Promise.all(workers);
    assert.equal((await entryOf(engine, 'counter'))?.value, '80');
  },

  'independent commits that ask to be alone never share a revision': async ({ engine }) => {
    const commits = Array.from({ length: 32 }, (_, n) =>
      engine.commit({ apply: [put(`own-${n}`)] }, { alone: true }),
    );
    const revisions = (await Promise.all(commits)).map((outcome) => outcome.revision);
    assert.equal(new Set(revisions).size, 32);
  },

  'commits that share a check each hear whether it held for them': async ({ engine }) => {
    const when: readonly Check[] = [
      { key: 'mark/', end: 'mark0', target: 'version', is: '=', to: 0 },
    ];
    const guarded = (key: string): Promise<Outcome> => engine.commit({ when, apply: [put(key)] });
    const all = (name: string): Promise<Outcome[]> =>
      Promise.all(Array.from({ length: 40 }, (_, n) => guarded(`${name}${n}`)));
    const before = await all('before-');
    const marked = await all('mark/');
    const after = await all('after-');
    assert.ok(before.every(({ succeeded }) => succeeded));
    assert.equal(marked.filter(({ succeeded }) => succeeded).length, 1);
    assert.ok(after.every(({ succeeded, results }) => !succeeded && results.length === 0));
    const { entries } = await engine.read({ key: 'a', end: '' });
    assert.equal(entries.length, 41);
  },

  'the order of the revisions is the order that a watch and the past show': async (context) => {
    const { engine } = context;
    const watching = new Watching(context, [everything], { after: 0 });
    const commits = Array.from({ length: 20 }, (_, n) => apply(engine, put('log', String(n))));
    await Promise.all(commits);
    const seen = await watching.collect(20);
    for (const { entry } of seen) {
      const past = await engine.read({ key: 'log', at: entry.modRevision });
      assert.deepEqual(past.entries, [entry]);
    }
    await watching.leave();
  },
});

function previousVersion(outcome: Outcome): number {
  const result = outcome.results[0];
  assert.ok(result?.type === 'put');
  return result.previous?.version ?? 0;
}

async function increment(engine: Engine): Promise<boolean> {
  const entry = await entryOf(engine, 'counter');
  assert.ok(entry);
  const { succeeded } = await engine.commit({
    when: [{ key: 'counter', target: 'mod', is: '=', to: entry.modRevision }],
    apply: [put('counter', String(Number(entry.value) + 1))],
  });
  return succeeded;
}
