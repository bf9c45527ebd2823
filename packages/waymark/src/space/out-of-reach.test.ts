import { expect, test } from 'vitest';
import type { Batch, CommitOptions, KeyRange, Outcome, Txn, WatchOptions } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import { systemClock, systemRandom } from '../core/system-clock.js';
import { createMemoryEngine } from '../engines/memory/memory-engine.js';
import { ForwardingEngine } from '../wrap/forward.js';
import { createLocalHost } from './local-host.js';
import { createSpace } from './space.js';
import type { Namespace, Space } from './types.js';

/** An engine elsewhere, that can be out of reach, and whose answers can be lost. */
class Elsewhere extends ForwardingEngine {
  #away: AbortController | null = null;
  #breaks = new AbortController();
  grants = 0;
  /** After so many commits more: the answer of that one is lost, and it is away if `thenAway`. */
  losesAfter: number | null = null;
  thenAway = false;

  get away(): boolean {
    return this.#away !== null;
  }

  leave(): void {
    this.#away = this.#breaks;
    this.#breaks = new AbortController();
    this.#away.abort();
  }

  /** What is watched goes on. */
  leaveQuietly(): void {
    this.#away = new AbortController();
  }

  comeBack(): void {
    this.#away = null;
  }

  override async commit(txn: Txn, options?: CommitOptions): Promise<Outcome> {
    this.#reach();
    const outcome = await super.commit(txn, options);
    if (this.losesAfter === null || this.losesAfter-- > 0) return outcome;
    this.losesAfter = null;
    if (this.thenAway) this.leave();
    throw new WaymarkError('uncertain', 'the answer was lost');
  }

  override async *watch(
    ranges: readonly KeyRange[],
    options: WatchOptions = {},
  ): AsyncGenerator<Batch> {
    this.#reach();
    const given = options.signal === undefined ? [] : [options.signal];
    const broken = this.#breaks.signal;
    const signal = AbortSignal.any([broken, ...given]);
    try {
      yield* super.watch(ranges, { ...options, signal });
    } catch (error) {
      throw broken.aborted ? outOfReach() : error;
    }
    if (broken.aborted) throw outOfReach();
  }

  override async grant(...args: Parameters<ForwardingEngine['grant']>) {
    this.grants++;
    return await super.grant(...args);
  }

  #reach(): void {
    if (this.away) throw outOfReach();
  }
}

function outOfReach(): WaymarkError {
  return new WaymarkError('unavailable', 'out of reach');
}

interface Two {
  readonly engine: Elsewhere;
  /** Reaches it through all that happens. */
  readonly near: Namespace;
  readonly far: Namespace;
  readonly space: Space;
}

async function withTwo(run: (two: Two) => Promise<void>): Promise<void> {
  const memory = createMemoryEngine();
  await using engine = new Elsewhere(memory);
  const options = { clock: systemClock, random: systemRandom };
  await using space = createSpace(createLocalHost(engine), { ...options, owner: 'far' });
  await using other = createSpace(createLocalHost(memory), { ...options, owner: 'near' });
  await run({ engine, space, near: other.namespace('n'), far: space.namespace('n') });
}

const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => null,
    (error: unknown) => (error as WaymarkError).code ?? error,
  );

const waitersOf = async (ns: Namespace, path: string): Promise<number> =>
  (await ns.explain(path)).waiters.length;

test('[S5] [L7] who waits no longer while the engine is out of reach leaves no place once that is back', async () => {
  await withTwo(async ({ engine, near, far }) => {
    const held = await near.lock('/l');
    const waiting = codeOf(far.lock('/l'));
    await expect.poll(() => waitersOf(near, '/l')).toBe(1);
    engine.leave();
    expect(await waiting).toBe('unavailable');
    expect(await waitersOf(near, '/l'), 'it cannot be taken away yet').toBe(1);
    engine.comeBack();
    await expect.poll(() => waitersOf(near, '/l')).toBe(0);
    await held.release();
    await (await near.lock('/l', { waitMs: 0 })).release();
  });
});

test('[S5] [L7] nor does who runs out of time meanwhile, and is told why', async () => {
  await withTwo(async ({ engine, near, far }) => {
    const held = await near.lock('/l');
    const waiting = codeOf(far.lock('/l', { waitMs: 300 }));
    await expect.poll(() => waitersOf(near, '/l')).toBe(1);
    engine.leaveQuietly();
    expect(await waiting).toBe('unavailable');
    engine.comeBack();
    await expect.poll(() => waitersOf(near, '/l')).toBe(0);
    await held.release();
  });
});

test('[S5] nor does who waits for a permit or a name', async () => {
  await withTwo(async ({ engine, near, far }) => {
    const permit = await near.semaphore('/p', { limit: 1 }).acquire();
    const name = await near.names('/a', ['only']).claim('near');
    const waiting = [
      codeOf(far.semaphore('/p').acquire()),
      codeOf(far.names('/a').claim('far', { wait: true })),
    ];
    const places = async () => {
      const permits = await near.semaphore('/p').explain();
      const { waiting: names } = await near.names('/a').members();
      return [permits.waiters.length, names.length];
    };
    await expect.poll(places).toEqual([1, 1]);
    engine.leave();
    expect(await Promise.all(waiting)).toEqual(['unavailable', 'unavailable']);
    engine.comeBack();
    await expect.poll(places).toEqual([0, 0]);
    await permit.release();
    await name.release();
  });
});

test('[S5] [A3] a name whose claim ended without an answer is free again, unless its owner was told it meanwhile', async () => {
  await withTwo(async ({ engine, near, far }) => {
    const members = async () => (await near.names('/a').members()).members.length;
    engine.losesAfter = 0;
    expect(await codeOf(far.names('/a', ['only']).claim('far'))).toBe('uncertain');
    await expect.poll(members).toBe(0);

    // It looked again first: it did not know that there is a list by now.
    engine.losesAfter = 1;
    engine.thenAway = true;
    expect(await codeOf(far.names('/a', ['only']).claim('far'))).toBe('uncertain');
    expect(await members()).toBe(1);
    engine.comeBack();
    const name = await far.names('/a').claim('far');
    expect(name.isHeld()).toBe(true);
    await name.release();
    expect(await members()).toBe(0);
  });
});

test('[S5] [L9] a release that did not reach the engine is repeated until it does', async () => {
  await withTwo(async ({ engine, near, far }) => {
    const held = await far.lock('/l');
    const next = near.lock('/l', { waitMs: 5_000 });
    engine.leave();
    expect(await codeOf(held.release())).toBe('unavailable');
    engine.comeBack();
    expect((await next).isHeld()).toBe(true);
    expect(await held.release(), 'nothing is left to release').toBe(false);
  });
});

test.each([0, 1, 2, 3])(
  '[L10] the answer to commit %i of an upgrade is lost: the shared hold stands, and nothing else',
  async (losesAfter) => {
    await withTwo(async ({ engine, near, far }) => {
      const lock = await far.lock('/l', { mode: 'shared' });
      engine.losesAfter = losesAfter;
      expect(await codeOf(lock.upgrade())).toBe('uncertain');
      expect([lock.isHeld(), lock.mode]).toEqual([true, 'shared']);
      const { holders } = await near.explain('/l');
      expect(holders.map(({ token, mode }) => [token, mode])).toEqual([[lock.token, 'shared']]);
      await (await near.lock('/l', { mode: 'shared', waitMs: 0 })).release();
      await lock.upgrade();
      await lock.release();
      await (await near.lock('/l', { waitMs: 0 })).release();
    });
  },
);

test('[L10] an upgrade whose engine goes away leaves the hold as it was, and keeps nobody out once that is back', async () => {
  await withTwo(async ({ engine, near, far }) => {
    const lock = await far.lock('/l', { mode: 'shared' });
    const other = await near.lock('/l', { mode: 'shared' });
    const upgrade = codeOf(lock.upgrade());
    const waiters = async () => (await near.explain('/l', { mode: 'shared' })).waiters.length;
    await expect.poll(waiters).toBe(1);
    engine.leave();
    expect(await upgrade).toBe('unavailable');
    expect([lock.isHeld(), lock.mode]).toEqual([true, 'shared']);
    engine.comeBack();
    await (await near.lock('/l', { mode: 'shared', waitMs: 5_000 })).release();
    await other.release();
    await lock.upgrade();
    await lock.release();
  });
});

test.each([0, 1])(
  '[L10] the answer to commit %i of a downgrade is lost: it is shared, whoever came in meanwhile',
  async (losesAfter) => {
    await withTwo(async ({ engine, near, far }) => {
      const lock = await far.lock('/l');
      const reader = near.lock('/l', { mode: 'shared' });
      await expect.poll(() => waitersOf(near, '/l')).toBe(1);
      engine.losesAfter = losesAfter;
      await lock.downgrade();
      expect([lock.isHeld(), lock.mode]).toEqual([true, 'shared']);
      await (await reader).release();
      await lock.release();
      await (await near.lock('/l', { waitMs: 0 })).release();
    });
  },
);

test('[L9] a lock that is released while its mode changes leaves nothing in either', async () => {
  await withTwo(async ({ near, far }) => {
    for (const [from, act] of [
      ['exclusive', 'downgrade'],
      ['shared', 'upgrade'],
    ] as const) {
      const lock = await far.lock('/l', { mode: from });
      const changed = codeOf(lock[act]());
      await lock.release();
      await changed;
      await (await near.lock('/l', { waitMs: 0 })).release();
    }
  });
});

test.each([new WaymarkError('lost', 'another hold'), new Error('never mind')])(
  '[S5] nor does who is told to wait no longer meanwhile: %s',
  async (reason) => {
    await withTwo(async ({ engine, near, far }) => {
      const held = await near.lock('/l');
      const stop = new AbortController();
      const waiting = far.lock('/l', { signal: stop.signal }).catch((error: unknown) => error);
      await expect.poll(() => waitersOf(near, '/l')).toBe(1);
      engine.leaveQuietly();
      stop.abort(reason);
      expect(await waiting).toBe(reason);
      engine.comeBack();
      await expect.poll(() => waitersOf(near, '/l')).toBe(0);
      await held.release();
    });
  },
);

test.each(['upgrade', 'downgrade'] as const)(
  '[L10] after a lost answer and then none at all to a %s the lock is lost, and given back later',
  async (act) => {
    await withTwo(async ({ engine, near, far }) => {
      const up = act === 'upgrade';
      const lock = await far.lock('/l', { mode: up ? 'shared' : 'exclusive' });
      engine.losesAfter = up ? 3 : 1;
      engine.thenAway = true;
      expect(await codeOf(lock[act]())).toBe('lost');
      expect([lock.isHeld(), lock.reason?.code]).toEqual([false, 'lost']);
      const next = near.lock('/l', { waitMs: 5_000 });
      engine.comeBack();
      await (await next).release();
    });
  },
);

test('[L11] a holder whose engine was out of reach for a while is told of what happens after it', async () => {
  await withTwo(async ({ engine, near, far }) => {
    const lock = await far.lock('/l');
    const first = await far.lock('/first');
    const lost = new Promise((resolve) => first.signal.addEventListener('abort', resolve));
    await near.forceUnlock('/first', { reason: 'so that the watch is known to stand' });
    await lost;
    engine.leave();
    engine.comeBack();
    await near.forceUnlock('/l', { reason: 'taken' });
    await expect.poll(() => lock.reason?.message).toContain('taken');
  });
});

test('[M7] a member whose session has another lease by now leads under its own, and asks for no more', async () => {
  await withTwo(async ({ engine, near, far }) => {
    const leader = await near.members('/g').join({ id: 'leader', lead: true });
    await leader.elected();
    const member = await far.members('/g').join({ id: 'member', lead: true });
    // The session's lease is doubted when a place under it vanishes.
    const held = await near.lock('/l');
    const waiting = codeOf(far.lock('/l'));
    await expect.poll(() => waitersOf(near, '/l')).toBe(1);
    const { results } = await forgetPlaces(engine);
    expect(results).toMatchObject([{ deleted: 1 }]);
    expect(await waiting).toBe('lost');
    await held.release();
    engine.leave();
    engine.comeBack();
    const before = engine.grants;
    await leader.release();
    await member.elected();
    expect(engine.grants).toBe(before);
    expect(member.isLeader()).toBe(true);
  });
});

async function forgetPlaces(engine: Elsewhere): Promise<Outcome> {
  return await engine.commit({ apply: [{ type: 'delete', key: 'n/n/x', end: 'n/n/y' }] });
}

test('[X1] a member takes messages again after its engine was out of reach', async () => {
  await withTwo(async ({ engine, far }) => {
    let away = true;
    const handle = async (): Promise<string> => {
      if (away) engine.leave();
      return 'taken';
    };
    const member = await far.members('/g').join({ id: 'm', handle });
    const send = () => far.members('/g').sendTo('m', 'one', { deadlineMs: 500 });
    expect((await send()).outcome).toBe('delivered');
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    away = false;
    engine.comeBack();
    await expect.poll(async () => (await send()).outcome).toBe('delivered');
    await member.release();
  });
}, 10_000);

test('[O3] a job whose outcome the engine did not take at first is no failed one', async () => {
  await withTwo(async ({ engine, near, far }) => {
    const job = (): string => {
      engine.leave();
      setTimeout(() => engine.comeBack(), 10);
      return 'done';
    };
    expect(await far.once('/o', job, { whenFailed: 'record' })).toBe('done');
    expect(await near.once('/o', () => 'again')).toBe('done');
  });
});
