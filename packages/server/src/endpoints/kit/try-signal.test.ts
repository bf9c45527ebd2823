import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { TrySignal } from './try-signal.js';

const never = new AbortController().signal;
const ended = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });

test('one signal serves try after try, until it has aborted; the next try has a new one', async () => {
  const tries = new TrySignal();
  const first = await tries.under(never, async (signal) => signal);
  expect(await tries.under(never, async (signal) => signal)).toBe(first);
  const late = new Error('late');
  const failed = tries.under(never, ended);
  tries.abort(late);
  await expect(failed).rejects.toBe(late);
  const next = await tries.under(never, async (signal) => signal);
  expect([next === first, next.aborted]).toEqual([false, false]);
});

test('the signal of the caller ends its own try and none after it, and is let go', async () => {
  const tries = new TrySignal();
  const caller = new AbortController();
  const failed = tries.under(caller.signal, ended);
  const reason = new Error('given up');
  caller.abort(reason);
  await expect(failed).rejects.toBe(reason);
  expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0);
  const other = new AbortController();
  await tries.under(other.signal, async () => undefined);
  expect(getEventListeners(other.signal, 'abort')).toHaveLength(0);
  other.abort();
  expect(tries.signal.aborted).toBe(false);
});

test('nothing is tried under a signal that has aborted, and nothing after the end', async () => {
  const tries = new TrySignal();
  let tried = 0;
  const work = async (): Promise<number> => (tried += 1);
  const reason = new Error('before');
  await expect(tries.under(AbortSignal.abort(reason), work)).rejects.toBe(reason);
  const over = new Error('over');
  const underWay = tries.under(never, ended);
  tries.end(over);
  await expect(underWay).rejects.toBe(over);
  await expect(tries.under(never, work)).rejects.toBe(over);
  expect(tried).toBe(0);
});

test("a try that is deaf to its signal keeps nobody waiting, and is nobody's when it ends later", async () => {
  const tries = new TrySignal();
  let fail = (_error: Error): void => {};
  const deaf = new Promise<void>((_resolve, reject) => (fail = reject));
  const waited = tries.unlessEnded(deaf);
  const late = new Error('late');
  tries.abort(late);
  await expect(waited).rejects.toBe(late);
  await tries.unlessEnded(Promise.resolve());
  fail(new Error('after all'));
  await expect(tries.unlessEnded(deaf)).rejects.toThrow('after all');
});
