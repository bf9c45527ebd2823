import { expect, test } from 'vitest';
import { createMemoryEngine, type Engine, faulty, isWaymarkError, recorded } from 'waymark/engine';
import { engineTests, FakeClock, type OpenedEngine, runEngineTest } from 'waymark/testing';
import { openMemory } from './engines.js';

/** What a client of a faulty engine meets, as text, and what is left behind. */
async function history(seed: number): Promise<string[]> {
  const clock = new FakeClock();
  const lines: string[] = [];
  const options = { seed, clock, unavailable: 0.2, uncertain: 0.2, broken: 1 };
  const engine = recorded(
    faulty(createMemoryEngine({ clock }), options),
    (event) => {
      if (event.type === 'failure')
        lines.push(`${event.call} ${event.atMs} ${String(event.error)}`);
      if (event.type === 'answer') lines.push(`${event.call} ${event.atMs} answered`);
    },
    { clock },
  );
  for (let n = 0; n < 100; n++) {
    const call = engine.commit({ apply: [{ type: 'put', key: `k${n % 9}`, value: String(n) }] });
    await settled(call, clock);
  }
  lines.push(...(await watchUntilBroken(engine)));
  lines.push(`${engineState(await insist(engine, clock))}`);
  return lines;
}

async function settled<T>(call: Promise<T>, clock: FakeClock): Promise<T | null> {
  let done = false;
  const end = call.then(
    (value) => ((done = true), value),
    () => ((done = true), null),
  );
  while (!done) {
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(1);
  }
  return end;
}

async function watchUntilBroken(engine: Engine): Promise<string[]> {
  const seen: string[] = [];
  try {
    for await (const batch of engine.watch([{ key: '', end: '' }], { after: 0 })) {
      seen.push(`batch to ${batch.revision}`);
      if (batch.revision >= 60) break;
    }
  } catch (error) {
    seen.push(String(error));
  }
  return seen;
}

async function insist(
  engine: Engine,
  clock: FakeClock,
): Promise<readonly { modRevision: number }[]> {
  for (;;) {
    const reading = await settled(engine.read({ key: '', end: '' }), clock);
    if (reading !== null) return reading.entries;
  }
}

function engineState(entries: readonly { modRevision: number }[]): string {
  return entries.map((entry) => entry.modRevision).join(' ');
}

test('the same seed meets the same faults at the same times, another seed others', async () => {
  const first = await history(7);
  expect(await history(7)).toEqual(first);
  expect(await history(8)).not.toEqual(first);
  const text = first.join('\n');
  for (const code of ['not sent', 'answer was lost', 'answered']) expect(text).toContain(code);
});

test('[K11] it keeps the rule: unavailable was not applied, uncertain may have been', async () => {
  for (let seed = 0; seed < 20; seed++) {
    const open = async (): Promise<OpenedEngine> => {
      const opened = await openMemory();
      return { ...opened, engine: faulty(opened.engine, { seed, delayed: 0, broken: 0 }) };
    };
    const name =
      'what is answered was applied, what is unavailable was not; uncertain may be either';
    const outcome = engineTests.find((one) => one.name.endsWith(name));
    expect(outcome).toBeDefined();
    if (outcome !== undefined) await runEngineTest(outcome, { open });
  }
});

test('[K8] a consumer that resumes a broken watch misses nothing and sees nothing twice', async () => {
  const { engine: inner, close } = await openMemory();
  const engine = faulty(inner, {
    seed: 3,
    unavailable: 0,
    uncertain: 0,
    delayed: 0,
    broken: 1,
    batchesMax: 4,
  });
  const revisions: number[] = [];
  const seen: number[] = [];
  let breaks = 0;
  while (seen.length < 300) {
    if (revisions.length < 300) {
      for (let n = 0; n < 3; n++) {
        revisions.push(
          (await engine.commit({ apply: [{ type: 'put', key: 'k', value: '' }] })).revision,
        );
      }
    }
    try {
      for await (const { changes } of engine.watch([{ key: 'k' }], { after: seen.at(-1) ?? 0 })) {
        seen.push(...changes.map(({ entry }) => entry.modRevision));
        if (seen.length === revisions.length) break;
      }
    } catch (error) {
      if (!isWaymarkError(error, 'unavailable')) throw error;
      breaks++;
    }
  }
  expect(seen).toEqual(revisions);
  expect(breaks).toBeGreaterThan(5);
  await close();
});
