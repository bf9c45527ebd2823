import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { open, type Space } from 'waymark';
import { chooseSeed, SeededRandom, sized } from '../faults/random.js';
import { ServerProcess } from '../faults/server-process.js';
import { Contest, type Fault, type Reign, ttlMs } from './contest.js';
import { type Judged, messageFaults, type Sent } from './message-faults.js';
import { sendThroughout } from './sender.js';
import type { Accepted } from './told.js';

/**
 * Leaders that are killed, stopped, or cut off from their server, each with two candidates behind it, all in processes of their own.
 */
const file = 'test/elections/kills.test.ts';
const atOnce = 5;
/** Of the machine, beyond the lease: what the next leader may take to notice, and to tell. */
const lateMsMax = 1_000;
const faults: readonly Fault[] = ['kill', 'kill', 'pause', 'cut'];

type Run = (contest: Contest, strikes: readonly Fault[], random: SeededRandom) => Promise<void>;

async function hold(
  strikes: number,
  { accepted, run }: { accepted?: (path: string) => string; run?: (space: Space) => Run } = {},
): Promise<Contest[]> {
  await using server = await ServerProcess.start('memory');
  await using space = await open(server.url);
  const random = new SeededRandom(chooseSeed(file));
  const paths = Array.from({ length: atOnce }, (_, i) => `/chief-${i}`);
  const contests = paths.map((path) => new Contest(server, path, accepted?.(path)));
  await Promise.all(
    contests.map(async (contest) => {
      const own = Array.from({ length: strikes / atOnce }, () => random.pick(faults));
      await (run?.(space)(contest, own, random) ?? contest.run(space, own, random));
    }),
  );
  return contests;
}

/** Who still believed to lead when the next one did. A killed process believes nothing, and tells nothing. */
function overlaps({ reigns }: Contest): Reign[] {
  return reigns.filter(({ over }, at) => {
    const next = reigns[at + 1];
    return over !== undefined && next !== undefined && over.believedAt > next.electedAt;
  });
}

/** One leader a term, terms grow, none believes beyond the next election, and the next comes in time. */
function expectTerms(contests: readonly Contest[]): void {
  const takeovers = contests.flatMap((contest) => contest.takeovers);
  const ms = takeovers.map((takeover) => takeover.ms).sort((a, b) => a - b);
  const p99 = ms[Math.ceil(ms.length * 0.99) - 1] ?? Infinity;
  const count = (fault: Fault): number => takeovers.filter((one) => one.fault === fault).length;
  console.log(
    `${count('kill')} kills, ${count('pause')} pauses, ${count('cut')} cuts; taken over after ` +
      `p50 ${ms[ms.length >> 1]?.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms, max ${ms.at(-1)?.toFixed(0)} ms`,
  );
  for (const contest of contests) {
    const terms = contest.reigns.map(({ term }) => term);
    expect(new Set(terms).size, 'no term has two leaders').toBe(terms.length);
    expect(
      terms.toSorted((a, b) => a - b),
      'terms grow',
    ).toEqual(terms);
    expect(contest.observed, 'an observer saw each, once, in order').toEqual(terms);
    expect(overlaps(contest)).toEqual([]);
    // The signal of one that was cut off, and not stopped, fires before the next term begins.
    const cut = contest.takeovers.flatMap(({ fault }, at) => (fault === 'cut' ? [at] : []));
    for (const at of cut) {
      const { over } = contest.reigns[at] as Reign;
      expect(over?.signalAt).toBeLessThan(contest.reigns[at + 1]?.electedAt as number);
    }
  }
  expect(p99).toBeLessThanOrEqual(ttlMs + lateMsMax);
}

const timeout = 3_600_000;
const folder = mkdtempSync(join(tmpdir(), 'waymark-elections-'));
afterAll(() => rmSync(folder, { recursive: true }));

test(
  '[E1 E7] leaders killed, stopped and cut off: one leader a term, terms grow, none believes beyond the next election',
  { timeout },
  async () => expectTerms(await hold(sized(40, 500))),
);

test(
  '[X3 X5 X7] messages to leaders that are killed, stopped and cut off: none is accepted by a deposed one, none is handled twice, no success is wrong',
  { timeout },
  async () => {
    const noted = (path: string): string => join(folder, path.slice(1));
    const sentTo = new Map<Contest, readonly Sent[]>();
    const run =
      (space: Space): Run =>
      async (contest, strikes, random) => {
        const work = contest.run(space, strikes, random);
        sentTo.set(contest, await sendThroughout(space, contest, random, work));
      };
    const contests = await hold(sized(40, 500), { accepted: noted, run });
    expectTerms(contests);
    const all = [...sentTo.values()].flat();
    const outcomes = (outcome: string): number =>
      all.filter((one) => one.outcome === outcome).length;
    const told = ['delivered', 'refused', 'unknown'].map((one) => `${outcomes(one)} ${one}`);
    console.log(`${all.length} messages: ${told.join(', ')}`);
    for (const contest of contests) {
      const accepted = readFileSync(noted(contest.path), 'utf8').trimEnd().split('\n');
      const judged = {
        sent: sentTo.get(contest) ?? [],
        accepted: accepted.map((line) => JSON.parse(line) as Accepted),
        terms: contest.reigns,
      };
      expect(messageFaults(judged)).toEqual([]);
    }
    for (const outcome of ['delivered', 'refused', 'unknown']) {
      expect(outcomes(outcome), outcome).toBeGreaterThan(0);
    }
  },
);

const right: Judged = {
  terms: [
    { term: 5, electedAt: 0 },
    { term: 9, electedAt: 100 },
  ],
  accepted: [{ message: 1, term: 5, by: 'a', believedAt: 20 }],
  sent: [
    {
      ...{ message: 1, deadlineMs: 200, sentAt: 10, endedAt: 30, knownTerm: 5 },
      ...{ outcome: 'delivered', seen: true, by: 'a', term: 5 },
    },
  ],
};
const [note] = right.accepted as [Accepted];
const [one] = right.sent as [Sent];

test.each<[string, Partial<Judged>]>([
  ['was handled 2 times', { accepted: [note, note] }],
  ['accepted under 5, sent when 9 led', { sent: [{ ...one, knownTerm: 9 }] }],
  ['accepted under 5 when 9 led', { accepted: [{ ...note, believedAt: 101 }] }],
  ['a and b accepted messages under 5', { accepted: [note, { ...note, message: 2, by: 'b' }] }],
  ['accepted under 7, which nobody led', { accepted: [{ ...note, term: 7 }] }],
  ['is delivered to a, and was not handled there', { accepted: [] }],
  ['is delivered to a, and was not handled there', { accepted: [{ ...note, by: 'b' }] }],
  ['is delivered to a, and was not handled there', { accepted: [{ ...note, term: 9 }] }],
  ['refused unseen, and was handled', { sent: [{ ...one, outcome: 'refused', seen: false }] }],
  [
    'refused by a handler that never saw it',
    { accepted: [], sent: [{ ...one, outcome: 'refused', seen: true }] },
  ],
  ['ended after 5000 ms of 200', { sent: [{ ...one, endedAt: 5_010 }] }],
])('[checker] a history of messages is refused: one %s', (what, forged) => {
  expect(messageFaults(right)).toEqual([]);
  expect(messageFaults({ ...right, ...forged }).join()).toContain(what);
});
