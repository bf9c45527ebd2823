import { expect, test } from 'vitest';
import { chooseSeed, SeededRandom, sized } from '../faults/random.js';
import { recordSemaphore, type SemaphoreHistory } from './semaphore-history.js';

const file = 'test/recipes/semaphore-histories.test.ts';
const usual = { limit: 6, clients: 7, requests: 10, deaths: 0.1, resizes: false };

async function record(
  count: number,
  seed: number,
  options: typeof usual,
): Promise<SemaphoreHistory[]> {
  const histories: SemaphoreHistory[] = [];
  for (let number = 0; number < count; number++) {
    const history = await recordSemaphore(new SeededRandom(seed + number), options);
    expect(history.faults, `seed ${seed + number}`).toEqual([]);
    histories.push(history);
  }
  return histories;
}

function sumOf(
  histories: readonly SemaphoreHistory[],
  what: Exclude<keyof SemaphoreHistory, 'faults'>,
): number {
  return histories.reduce((sum, history) => sum + history[what], 0);
}

function report(name: string, histories: readonly SemaphoreHistory[]): void {
  const of = (what: Exclude<keyof SemaphoreHistory, 'faults'>): string =>
    `${sumOf(histories, what)} ${what}`;
  const kinds = ['grants', 'waited', 'deaths', 'gaveUp', 'refusedTries', 'resizes'] as const;
  console.log(`${name}: ${histories.length} histories, ${kinds.map(of).join(', ')}`);
}

test(
  '[P1 P2 P9] histories with deaths: permits never add up to more than the limit, and nobody is passed',
  { timeout: 1_200_000 },
  async () => {
    const histories = await record(sized(200, 2_000), chooseSeed(file), usual);
    report('with deaths', histories);
    for (const what of ['grants', 'waited', 'deaths', 'gaveUp', 'refusedTries'] as const) {
      expect(sumOf(histories, what), what).toBeGreaterThan(0);
    }
    expect(Math.max(...histories.map(({ peak }) => peak))).toBe(usual.limit);
  },
);

test(
  '[P7] histories with resizes: who is granted has fitted beside all older requests',
  { timeout: 1_200_000 },
  async () => {
    const options = { ...usual, resizes: true };
    const histories = await record(sized(100, 1_000), chooseSeed(file), options);
    report('with resizes', histories);
    expect(sumOf(histories, 'resizes')).toBeGreaterThan(0);
    expect(sumOf(histories, 'waited')).toBeGreaterThan(0);
  },
);
