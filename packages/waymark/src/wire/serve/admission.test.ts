import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { FakeClock } from 'waymark/testing';
import { expect, test } from 'vitest';
import { Admission } from './admission.js';

test('[limits] nothing is kept of a call that has waited, once it had its turn', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const admission = new Admission(new FakeClock(), { inFlightMax: 1 });
  expect(admission.enter(0)).toBe(true);
  const waits = (): WeakRef<object> => {
    const request = { head: new Uint8Array(1_024), begun: false };
    const begin = (): void => void (request.begun = true);
    admission.wait({ bytes: 0, begin, refused: () => undefined });
    return new WeakRef(request);
  };
  const [first, second] = [waits(), waits()];
  admission.leave(0);
  // What a WeakRef was made for lives to the end of the turn of the event loop.
  await new Promise((resolve) => setImmediate(resolve));
  collect();
  expect(admission.waiting).toBe(1);
  expect(first.deref()).toBeUndefined();
  expect(second.deref()).toBeDefined();
});
