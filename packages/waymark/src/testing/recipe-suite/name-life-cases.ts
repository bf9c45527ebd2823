import { holds, same, soon } from './expect.js';
import { peaksOf } from './names-cases.js';
import type { RecipeCase } from './suite.js';

/** What becomes of a name that is lost, and of one that is kept. */
export const nameLifeCases: readonly RecipeCase[] = [
  {
    name: '[A8] the token of a name grows with every claim of it, and who loses it is told',
    async run({ a, b }) {
      const lease = await a.lease(30_000);
      const name = await peaksOf(a).claim('one', { lease });
      const lost = new Promise((resolve) => name.signal.addEventListener('abort', resolve));
      await b.removeNamespace('n');
      await soon('the signal', lost);
      same(name.reason?.code, 'lost', 'why');
      holds(name.reason?.message.includes('Denali'), 'what');
      const next = await peaksOf(b).claim('two');
      holds(next.name === 'Denali' && next.token > name.token, 'a greater token');
      same(await name.release(), false, 'it was no longer held');
      same((await peaksOf(a).members()).members.length, 1, 'and the next keeps it');
    },
  },
  {
    name: '[A9] with a grace, a restarted owner has its former name again, with a greater token',
    async run({ a, b, another }) {
      const call = { graceMs: 60_000 };
      const old = await peaksOf(a).claim('web-1', call);
      same((await peaksOf(b).claim('web-2', call)).name, 'MtLogan', 'beside it');
      const lost = new Promise((resolve) => old.signal.addEventListener('abort', resolve));
      const restarted = await another('restarted');
      const name = await peaksOf(restarted).claim('web-1', call);
      holds(name.name === 'Denali' && name.token > old.token, 'the former name');
      await soon('the former life is told', lost);
      same((await peaksOf(b).members()).members.length, 2, 'still two');
      same(await old.release(), false, 'the former life has nothing to release');
      same(await name.release(), true, 'released');
      same((await peaksOf(b).members()).kept, [], 'a release keeps nothing');
      same((await peaksOf(b).claim('web-3')).name, 'Denali', 'so it goes next');
    },
  },
  {
    name: '[A9] a name is kept for its owner when its lease has ended, and free for nobody else',
    async run({ a, b }) {
      const lease = await a.lease(30_000);
      await peaksOf(a).claim('web-1', { lease, graceMs: 60_000 });
      await lease.release();
      const { members, kept } = await peaksOf(b).members();
      same([members, kept], [[], [{ name: 'Denali', position: 0, owner: 'web-1' }]], 'kept');
      same((await peaksOf(b).claim('web-2')).name, 'MtLogan', 'for others the next');
      same((await peaksOf(b).claim('web-1')).name, 'Denali', 'for its owner its own');
      same((await peaksOf(b).members()).kept, [], 'and without a grace it is kept no longer');
    },
  },
];
