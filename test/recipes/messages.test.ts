import { expect, test } from 'vitest';
import { createMemoryEngine, systemClock } from 'waymark/engine';
import { spaceOver } from '../support/spaces.js';

test('[X7] a leader whose process stood still refuses what it is handed before it has noticed', async () => {
  await using engine = createMemoryEngine();
  let stoodStillMs = 0;
  // Time has passed, and none of the timers that tell of it has run yet.
  const clock = { ...systemClock, now: () => systemClock.now() + stoodStillMs };
  await using stopped = spaceOver(engine, 'stopped', { clock });
  await using sending = spaceOver(engine, 'sending');
  const handled: unknown[] = [];
  const handle = ({ body }: { readonly body: unknown }): void => void handled.push(body);
  const leader = await stopped.namespace('n').members('/g').join({ lead: true, handle });
  await leader.elected();
  const sender = await sending.namespace('n').members('/g').join();
  expect((await sender.send('before')).outcome).toBe('delivered');
  stoodStillMs = 60_000;
  const late = await sender.send('late', { deadlineMs: 300 });
  expect(late).toMatchObject({ outcome: 'refused', seen: false });
  expect(handled).toEqual(['before']);
});
