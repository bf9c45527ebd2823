import type { Member, MembersChange, MembersView } from '../../space/member-types.js';
import type { HostSpace } from '../../space/space.js';
import type { Namespace, Space } from '../../space/types.js';
import { eventually, failsWith, holds, same, soon } from './expect.js';
import type { RecipeCase } from './suite.js';

interface About {
  readonly zone: string;
}

const workers = (ns: Namespace) => ns.members<About>('/workers');
const idsOf = (members: readonly Member[]): string[] => members.map(({ id }) => id);

/** As a process that fell silent: the engine ends its lease. */
async function fail(by: Space, { lease }: Member): Promise<void> {
  await (by as HostSpace).host.revoke(lease);
}

async function memberOf(by: Space, id: string): Promise<Member<About>> {
  const { members } = await workers(by.namespace('n')).list();
  const found = members.find((member) => member.id === id);
  holds(found !== undefined, `${id} is a member`);
  return found;
}

/** `+` joined, `-` left, `!` failed, `?` missed, `~` updated. */
function told({ joined, left, failed, missed, updated }: MembersChange<About>): string {
  const parts = [
    ...joined.map(({ id }) => `+${id}`),
    ...left.map(({ id }) => `-${id}`),
    ...failed.map(({ id }) => `!${id}`),
    ...missed.map(({ id }) => `?${id}`),
    ...updated.map(({ id, meta }) => `~${id}:${meta?.zone ?? ''}`),
  ];
  return parts.join(' ');
}

/** Follows a group; `seen` grows with each view. */
function follow(by: Space): {
  readonly seen: MembersChange<About>[];
  readonly end: () => Promise<void>;
} {
  const ended = new AbortController();
  const seen: MembersChange<About>[] = [];
  const following = (async () => {
    const watch = workers(by.namespace('n')).watch({ signal: ended.signal });
    for await (const change of watch) seen.push(change);
  })().catch((error: unknown) => {
    if (!ended.signal.aborted) throw error;
  });
  const end = async (): Promise<void> => {
    ended.abort();
    await following;
  };
  return { seen, end };
}

export const memberCases: readonly RecipeCase[] = [
  {
    name: '[M1] a member is there with what it told, under its incarnation, until it leaves',
    async run({ a, b }) {
      const ns = a.namespace('n');
      const call = { id: 'w1', address: '10.0.0.1:80', meta: { zone: 'x' } };
      const membership = await workers(ns).join(call);
      const { members, epoch } = await workers(b.namespace('n')).list();
      const { lease: _lease, ...facts } = members[0] as Member<About>;
      same(
        facts,
        { ...call, owner: 'a', incarnation: membership.token, revision: membership.token },
        'the member',
      );
      holds(epoch >= membership.token, 'the view is not older than the join');
      holds(membership.isHeld() && membership.remainingMs() > 0, 'held');
      holds(await membership.release(), 'left');
      same(await membership.closed, undefined, 'left by itself');
      same((await workers(b.namespace('n')).list()).members, [], 'gone');
      holds(!(await membership.release()), 'a second time is told');
    },
  },
  {
    name: '[M1] groups, keys, locks and elections of one path are apart; the root is a group',
    async run({ a }) {
      const ns = a.namespace('n');
      await workers(ns).join({ id: 'w1', lead: true });
      await ns.members('/').join({ id: 'root' });
      await ns.members('/workers/below').join({ id: 'below' });
      await ns.lock('/workers', { tree: true });
      const term = await ns.election('/workers').tryCampaign();
      holds(term !== null, 'an election of its own');
      same((await ns.tree('/')).entries, [], 'no keys');
      same(idsOf((await workers(ns).list()).members), ['w1'], 'one member');
      same(idsOf((await ns.members('/').list()).members), ['root'], 'of the root');
    },
  },
  {
    name: '[M2] the id of a live member is refused; who comes back has a greater incarnation',
    async run({ a, b }) {
      const group = workers(a.namespace('n'));
      const other = workers(b.namespace('n'));
      const first = await group.join({ id: 'w1' });
      const refusal = await failsWith('conflict', () => other.join({ id: 'w1' }));
      same([refusal.facts.holder, refusal.facts.token], ['a', first.token], 'whose it is');
      await failsWith('conflict', () => group.join({ id: 'w1' }));
      holds(first.isHeld(), 'and it goes on');
      await fail(b, await memberOf(b, 'w1'));
      const second = await other.join({ id: 'w1' });
      holds(second.token > first.token, 'a greater incarnation');
      same((await soon('the loss', first.closed))?.code, 'lost', 'and the first is told');
      await first.release();
      same(idsOf((await group.list()).members), ['w1'], 'the first takes nothing from the second');
    },
  },
  {
    name: '[M3] leaving and failing are told apart, and every change is a view of its own',
    async run({ a, b, another }) {
      const { seen, end } = follow(b);
      await eventually('the begin', () => seen.length === 1);
      const leaver = await workers(a.namespace('n')).join({ id: 'leaver' });
      const failer = await another('failer');
      const failing = await workers(failer.namespace('n')).join({ id: 'failer' });
      await leaver.update({ meta: { zone: 'y' } });
      await leaver.release();
      await fail(b, await memberOf(b, 'failer'));
      await eventually('all changes', () => seen.length === 6);
      const changes = ['', '+leaver', '+failer', '~leaver:y', '-leaver', '!failer'];
      same(seen.map(told), changes, 'each, once, in order');
      same(
        seen.map(({ members }) => idsOf(members).join()),
        ['', 'leaver', 'failer,leaver', 'failer,leaver', 'failer', ''],
        'the views',
      );
      const epochs = seen.map(({ epoch }) => epoch);
      same(new Set(epochs).size, 6, 'epochs differ');
      same(
        epochs,
        [...epochs].sort((x, y) => x - y),
        'and grow',
      );
      same((await soon('the loss', failing.closed))?.code, 'lost', 'who failed is told as well');
      await end();
    },
  },
  {
    name: '[M3] a space that closes leaves: it does not fail',
    async run({ b, another }) {
      const closing = await another('closing');
      await workers(closing.namespace('n')).join({ id: 'closing', lead: true, ttlMs: 60_000 });
      const { seen, end } = follow(b);
      await eventually('the leader', () => seen.at(-1)?.leader?.id === 'closing');
      await closing.close();
      await eventually('the leave', () => seen.at(-1)?.members.length === 0);
      same(told(seen.at(-1) as MembersChange<About>), '-closing', 'left');
      const led = seen.filter(({ leader }) => leader !== null);
      const there = led.every(({ leader, members }) => members.some(({ id }) => id === leader?.id));
      holds(there, 'no view shows a leader that is no member');
      await end();
    },
  },
  {
    name: '[M4] what a member tells changes without a new incarnation; what is not named stays',
    async run({ a, b }) {
      const group = workers(a.namespace('n'));
      const membership = await group.join({ id: 'w1', address: 'here', meta: { zone: 'x' } });
      await Promise.all([
        membership.update({ meta: { zone: 'y' } }),
        membership.update({ address: 'there' }),
      ]);
      const member = await memberOf(b, 'w1');
      same([member.address, member.meta], ['there', { zone: 'y' }], 'both are told');
      same(member.incarnation, membership.token, 'the same incarnation');
      holds(member.revision > member.incarnation, 'a later revision');
      await fail(b, member);
      await failsWith('lost', () => membership.update({ address: 'nowhere' }));
      same((await group.list()).members, [], 'an update brings nobody back');
    },
  },
  {
    name: '[M5] a signal aborts the join, and afterwards leaves',
    async run({ a }) {
      const group = workers(a.namespace('n'));
      const why = new Error('enough');
      const refused = await group.join({ signal: AbortSignal.abort(why) }).catch((e: unknown) => e);
      same(refused, why, 'the reason of the signal');
      const ended = new AbortController();
      const membership = await group.join({ id: 'w1', signal: ended.signal });
      ended.abort();
      same(await soon('the end', membership.closed), undefined, 'left');
      await eventually('gone', async () => (await group.list()).members.length === 0);
    },
  },
  {
    name: '[M6] ids, addresses and metadata over their limits are refused, and join nobody',
    async run({ a }) {
      const group = a.namespace('n').members('/workers');
      await failsWith('invalid', () => group.join({ id: '' }));
      await failsWith('invalid', () => group.join({ id: 'a\0b' }));
      await failsWith('invalid', () => group.join({ meta: () => 1 }));
      await failsWith('invalid', () => group.join({ ttlMs: 1 }));
      await failsWith('invalid', () => a.namespace('n').members('/a//b'));
      const id = await failsWith('too_large', () => group.join({ id: 'x'.repeat(129) }));
      same(id.facts.limit, 'memberIdBytesMax', 'the id');
      await failsWith('too_large', () => group.join({ address: 'x'.repeat(513) }));
      await failsWith('too_large', () => group.join({ meta: 'x'.repeat(16_383) }));
      const { members }: MembersView = await group.list();
      same(members, [], 'nobody');
      const most = { id: 'x'.repeat(128), address: 'x'.repeat(512), meta: 'x'.repeat(16_382) };
      await group.join(most);
      await group.join({ id: 'Ärger/1', meta: null });
      same((await group.list()).members.length, 2, 'what is within them joins');
    },
  },
  {
    name: '[M7] one of those that stand leads; when it leaves or fails the next does, under a greater term',
    async run({ a, b, another }) {
      const first = await workers(a.namespace('n')).join({ id: 'first', lead: true });
      const elected = await soon('the election', first.elected());
      holds(first.isLeader() && (await first.elected()) === elected, 'it leads');
      const second = await workers(b.namespace('n')).join({ id: 'second', lead: true });
      const ns = (await another('third')).namespace('n');
      const third = await workers(ns).join({ id: 'third' });
      same([second.isLeader(), third.isLeader()], [false, false], 'the others do not');
      same((await third.leader())?.member.id, 'first', 'all know who does');
      const term = first.term();
      same((await workers(ns).list()).leader, { id: 'first', term: term?.token }, 'in the view');
      await first.release();
      await eventually('the next leads', () => second.isLeader());
      holds(!first.isLeader() && first.term() === null, 'who left does not');
      holds((second.term()?.token ?? 0) > (term?.token ?? 0), 'a greater term');
      await failsWith('invalid', () => third.elected());
      const fourth = await workers(ns).join({ id: 'fourth', lead: true });
      const why = new Error('enough');
      const waited = fourth.elected({ signal: AbortSignal.abort(why) }).catch((e: unknown) => e);
      same(await waited, why, 'a wait ends with its signal');
      const leaving = failsWith('lost', () => fourth.elected());
      await fourth.release();
      await soon('the end of its wait', leaving);
      await fail(b, await memberOf(b, 'second'));
      await eventually('nobody leads', async () => (await third.leader()) === null);
      await eventually('and it knows', () => !second.isLeader());
    },
  },
  {
    name: '[M7] a term that is taken away is stood for again, under the same membership',
    async run({ a, b }) {
      const membership = await workers(a.namespace('n')).join({ id: 'w1', lead: true });
      await eventually('it leads', () => membership.isLeader());
      const before = membership.term();
      await before?.release();
      await eventually('it leads again', () => membership.isLeader());
      holds((membership.term()?.token ?? 0) > (before?.token ?? 0), 'under a greater term');
      same((await memberOf(b, 'w1')).incarnation, membership.token, 'the same incarnation');
    },
  },
  {
    name: '[M7] two members of one process wait for each other as if they were in two',
    async run({ a }) {
      const group = workers(a.namespace('n'));
      const one = await group.join({ id: 'one', lead: true });
      await eventually('one leads', () => one.isLeader());
      const two = await group.join({ id: 'two', lead: true });
      const places = { key: 'glx', end: 'gly', countOnly: true };
      const { host } = a as HostSpace;
      const waiting = async (): Promise<number> => (await host.read('n', places)).count;
      await eventually('two has its place', async () => (await waiting()) === 1);
      await one.release();
      await eventually('two leads', () => two.isLeader());
    },
  },
  {
    name: '[M8] a group of more than a page is one view',
    async run({ a, b }) {
      const group = workers(a.namespace('n'));
      const ids = Array.from({ length: 401 }, (_, i) => `w${String(i).padStart(4, '0')}`);
      await Promise.all(ids.map((id) => group.join({ id })));
      same(idsOf((await workers(b.namespace('n')).list()).members), ids, 'all, in order');
    },
  },
];
