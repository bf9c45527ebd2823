import { expect, test } from 'vitest';
import { chooseSeed, SeededRandom, sized } from '../faults/random.js';
import { startPlaces } from './all-places.js';
import { modes, runRig } from './rig.js';

const file = 'test/delivery/rig.test.ts';

test(
  '[W1][W1.7][W2][W3] processors are killed, paused and cut off, in every mode of sharing out: nothing missing, in order, repeats of the tail alone, and none where fences are kept',
  async () => {
    const random = new SeededRandom(chooseSeed(file));
    const places = await startPlaces(random);
    try {
      const report = await runRig({
        random,
        places,
        processors: 5,
        kills: sized(100, 2_000),
        pauses: sized(20, 500),
        cuts: sized(20, 500),
        // To nine places each, and a tenth of it to one.
        changes: sized(5_600, 112_000),
        batch: 20,
      });
      console.log(JSON.stringify(report));
      expect(report.notifications).toBeGreaterThanOrEqual(sized(50_000, 1_000_000));
      expect(report.takenOver).toBeGreaterThan(0);
      for (const { by } of modes) {
        const { delivered = 0, holds = 0 } = report.byMode[by] ?? {};
        expect(Math.min(delivered, holds), `told and taken over by ${by}`).toBeGreaterThan(0);
      }
    } finally {
      for (const place of places) await place[Symbol.asyncDispose]();
    }
  },
  sized(900_000, 7_200_000),
);
