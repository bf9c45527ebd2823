import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chooseSeed, SeededRandom, sized } from '../faults/random.js';
import { type Server, serversFor } from '../watchers/engines.js';
import { startPlaces } from './all-places.js';
import { runRig } from './rig.js';

const file = 'test/delivery/engines.test.ts';

for (const { name, start } of serversFor('the delivery rig')) {
  describe(`over ${name}`, () => {
    let server: Server;
    beforeAll(async () => {
      server = await start();
    });
    afterAll(() => server.stop());

    test(
      '[W1][W2][W3] processors that share one engine are killed, paused and cut off from it: nothing missing, in order, repeats of the tail alone',
      async () => {
        const random = new SeededRandom(chooseSeed(file));
        const places = await startPlaces(random, ['redis stream', 'websocket']);
        try {
          const report = await runRig({
            random,
            places,
            processors: 3,
            kills: sized(10, 100),
            pauses: sized(3, 30),
            cuts: sized(3, 30),
            changes: sized(800, 8_000),
            batch: 20,
            engine: server.url(),
          });
          console.log(JSON.stringify(report));
          expect(report).toMatchObject({ notifications: sized(2_400, 24_000), missing: 0 });
        } finally {
          for (const place of places) await place[Symbol.asyncDispose]();
        }
      },
      sized(300_000, 1_800_000),
    );
  });
}
