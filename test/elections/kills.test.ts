import { expect, test } from 'vitest';
import { open } from 'waymark';
import { chooseSeed, SeededRandom, sized } from '../faults/random.js';
import { ServerProcess } from '../faults/server-process.js';
import { Contest, type Fault, type Reign, ttlMs } from './contest.js';

/**
 * Leaders that are killed, stopped, or cut off from their server, each with two candidates behind it, all in processes of their own.
 */
const file = 'test/elections/kills.test.ts';
const atOnce = 5;
/** Of the machine, beyond the lease: what the next leader may take to notice, and to tell. */
const lateMsMax = 1_000;

async function hold(strikes: number, seed: number): Promise<Contest[]> {
  await using server = await ServerProcess.start('memory');
  await using space = await open(server.url);
  const random = new SeededRandom(seed);
  const contests = Array.from({ length: atOnce }, (_, i) => new Contest(server, `/chief-${i}`));
  await Promise.all(
    contests.map(async (contest) => {
      const faults = Array.from({ length: strikes / atOnce }, () =>
        random.pick<Fault>(['kill', 'kill', 'pause', 'cut']),
      );
      await contest.run(space, faults, random);
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

test(
  '[E1 E7] leaders killed, stopped and cut off: one leader a term, terms grow, none believes beyond the next election',
  { timeout: 3_600_000 },
  async () => {
    const contests = await hold(sized(40, 500), chooseSeed(file));
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
  },
);
