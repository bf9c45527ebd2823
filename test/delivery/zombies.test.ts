import { expect, test } from 'vitest';
import { chooseSeed, SeededRandom, sized } from '../faults/random.js';
import { Zombies } from './zombies.js';

const file = 'test/delivery/zombies.test.ts';

test(
  '[W1.3][W1.4] one that is stopped in the middle of a delivery and woken after the take-over: every cursor of it is refused',
  async () => {
    const random = new SeededRandom(chooseSeed(file));
    await using zombies = await Zombies.start(random, { processors: 8, sinks: 24 });
    const { report } = zombies;
    const wanted = sized(20, 500);
    while (report.zombies < wanted) {
      await zombies.round(Math.min(5, wanted - report.zombies));
      // On a machine that stops them too late nothing would be shown.
      expect(report.missed).toBeLessThan(10 + wanted);
    }
    const judged = await zombies.judged();
    const late = judged.reduce((sum, one) => sum + one.late, 0);
    const repeats = judged.reduce((sum, one) => sum + one.repeats, 0);
    console.log(JSON.stringify({ ...report, repeats, late }));
    expect(report.refused).toBe(report.lateCursors);
    expect(report.refused).toBeGreaterThanOrEqual(wanted);
    expect(repeats).toBeGreaterThanOrEqual(report.refused);
  },
  sized(600_000, 3_600_000),
);
