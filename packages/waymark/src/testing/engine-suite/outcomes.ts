import assert from 'node:assert/strict';
import type { CallOptions } from '../../core/engine.js';
import { errorCodes, isWaymarkError, WaymarkError } from '../../core/errors.js';
import {
  apply,
  entryOf,
  everything,
  failureOf,
  put,
  putEach,
  testsOf,
  unchangedBy,
} from './context.js';

/** K11: what an answer, a refusal and an abort tell about what was done. */
export const outcomeTests = testsOf('K11', {
  'aborted before the send: rejects with the reason of the signal, and nothing was done': async ({
    engine,
  }) => {
    const { id } = await engine.grant(60_000);
    const [revision] = (await putEach(engine, 'k')) as [number];
    const reason = { why: 'changed my mind' };
    const aborted: CallOptions = { signal: AbortSignal.abort(reason) };
    const calls: ((options: CallOptions) => Promise<unknown>)[] = [
      (options) => engine.read({ key: 'k' }, options),
      (options) => engine.commit({ apply: [put('k', 'aborted')] }, options),
      (options) => engine.commit({ apply: [{ type: 'delete', key: 'k' }] }, options),
      (options) => engine.grant(60_000, options),
      (options) => engine.renew(id, options),
      (options) => engine.revoke(id, options),
      (options) => engine.lease(id, options),
      (options) => engine.leases(options),
      (options) => engine.compact(revision, options),
      (options) => engine.status(options),
    ];
    await unchangedBy(engine, async () => {
      for (const call of calls) assert.equal(await failureOf(call(aborted)), reason);
    });
    assert.deepEqual(await engine.leases(), [id]);
    assert.ok((await engine.status()).compacted < revision);
  },

  'a signal that does not abort changes nothing, and keeps no listener': async ({ engine }) => {
    const signal = countingSignal();
    await engine.commit({ apply: [put('k')] }, { signal });
    await engine.read({ key: 'k' }, { signal });
    await engine.status({ signal });
    assert.equal(signal.listeners, 0);
    assert.ok(await entryOf(engine, 'k'));
  },

  'aborted after the send: answered, or uncertain, or certainly not applied': async ({
    engine,
  }) => {
    for (let n = 0; n < 40; n++) {
      const controller = new AbortController();
      const reason = new Error(`abort ${n}`);
      const call = engine.commit({ apply: [put(`k${n}`)] }, { signal: controller.signal });
      controller.abort(reason);
      const failure = await call.then(
        () => null,
        (error: unknown) => error,
      );
      const entry = await entryOf(engine, `k${n}`);
      if (failure === null) assert.ok(entry);
      else if (failure === reason || isWaymarkError(failure, 'unavailable'))
        assert.equal(entry, null);
      else assert.ok(isWaymarkError(failure, 'uncertain'), String(failure));
    }
  },

  'what is answered was applied, what is unavailable was not; uncertain may be either': async ({
    engine,
  }) => {
    for (let n = 0; n < 60; n++) {
      const key = `k${n}`;
      const failure = await apply(engine, put(key)).then(
        () => null,
        (error: unknown) => error,
      );
      const applied = (await insist(() => engine.read({ key }))).count === 1;
      if (failure === null) assert.ok(applied, `${key} was answered`);
      else if (isWaymarkError(failure, 'unavailable'))
        assert.ok(!applied, `${key} was unavailable`);
      else assert.ok(isWaymarkError(failure, 'uncertain'), String(failure));
    }
  },

  'every refusal is a WaymarkError with a known code, and leaves everything as it was': async ({
    engine,
  }) => {
    await putEach(engine, 'a');
    const calls: (() => Promise<unknown>)[] = [
      () => apply(engine, put('')),
      () => apply(engine, put('a', '', { lease: 9 })),
      () => apply(engine, put('b', '', { keepValue: true })),
      () => apply(engine, put('b'), put('b')),
      () => engine.read({ key: 'a', at: 1e9 }),
      () => engine.renew(9),
      () => engine.revoke(9),
      () => engine.grant(0),
      () => engine.compact(1e9),
    ];
    await unchangedBy(engine, async () => {
      for (const call of calls) {
        const error = await failureOf(call());
        assert.ok(error instanceof WaymarkError && errorCodes.includes(error.code), String(error));
        assert.ok(error.code !== 'internal' && error.message.length > 0);
      }
    });
  },

  'a commit that was answered stays: read, history and watch agree with its outcome': async ({
    engine,
  }) => {
    const outcomes = await Promise.all(
      Array.from({ length: 30 }, (_, n) => apply(engine, put(`k${n}`))),
    );
    const { entries } = await engine.read(everything);
    for (const [n, outcome] of outcomes.entries()) {
      assert.equal(entries.find((entry) => entry.key === `k${n}`)?.modRevision, outcome.revision);
    }
  },
});

/** Repeats a read that may be unavailable. */
async function insist<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!isWaymarkError(error, 'unavailable')) throw error;
    }
  }
}

interface CountingSignal extends AbortSignal {
  readonly listeners: number;
}

function countingSignal(): CountingSignal {
  const { signal } = new AbortController();
  const listening = new Set<unknown>();
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  return Object.defineProperties(signal, {
    addEventListener: {
      value: (...args: Parameters<typeof add>) => {
        listening.add(args[1]);
        add(...args);
      },
    },
    removeEventListener: {
      value: (...args: Parameters<typeof remove>) => {
        listening.delete(args[1]);
        remove(...args);
      },
    },
    listeners: { get: () => listening.size },
  }) as CountingSignal;
}
