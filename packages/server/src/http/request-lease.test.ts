import { expect, test } from 'vitest';
import {
  createLocalHost,
  createMemoryEngine,
  leftToLease,
  systemClock,
  systemRandom,
  WaymarkError,
} from 'waymark/engine';
import { type AskedLease, type CutOff, type HoldParts, underLease } from './request-lease.js';

async function asked(
  asked: AskedLease & { readonly id?: string },
  take: (lease: unknown, gone: AbortSignal) => Promise<number>,
  gone: AbortSignal = new AbortController().signal,
): Promise<{ given: number; failed: unknown }> {
  await using engine = createMemoryEngine();
  await using host = createLocalHost(engine);
  const parts: HoldParts = { host, clock: systemClock, random: systemRandom, stopping: gone };
  let given = 0;
  const giveBack = async (): Promise<void> => void given++;
  const cutOff: CutOff = { gone, findable: asked.id !== undefined, giveBack };
  const failed = await underLease(parts, asked, cutOff, take).then(
    () => null,
    (error: unknown) => error,
  );
  return { given, failed };
}

test('[L6] what failed without an answer is given back by an id that nobody else has, and by no other', async () => {
  const failure = new WaymarkError('unavailable', 'the engine is away');
  const take = () => Promise.reject(failure);
  expect(await asked({ lease: 7 }, take)).toEqual({ given: 1, failed: failure });
  expect(await asked({ lease: 7, id: 'w1' }, take)).toEqual({ given: 0, failed: failure });
  // Its own lease takes along what stands under it; what stands there by the same id may be another's.
  expect(await asked({ ttlMs: 5_000, id: 'w1' }, take)).toEqual({ given: 0, failed: failure });
  const refused = new WaymarkError('conflict', 'it is another’s');
  const refuse = () => Promise.reject(refused);
  expect(await asked({ lease: 7 }, refuse)).toEqual({ given: 0, failed: refused });
});

test('[L6] a wait that is left to its lease ends as the request does', async () => {
  const stopping = new WaymarkError('unavailable', 'the server stops');
  const gone = AbortSignal.abort(stopping);
  const take = (_: unknown, signal: AbortSignal) => Promise.reject(signal.reason as Error);
  expect(await asked({ lease: 7, id: 'mine' }, take, gone)).toEqual({ given: 0, failed: stopping });
  const left = (_: unknown, { reason }: AbortSignal) =>
    Promise.resolve(Number(reason === leftToLease));
  expect(await asked({ lease: 7, id: 'mine' }, left, gone)).toEqual({ given: 0, failed: null });
});
