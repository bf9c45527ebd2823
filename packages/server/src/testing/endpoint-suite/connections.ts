import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { arrived, casesOf, deliver, deliveryOf, eventAt, failureOf, newStream } from './ground.js';

/** What becomes of deliveries when connections break, hang, and are given back. */

/** Longer than anything that ends by a signal takes, and far shorter than what waits for an answer. */
const promptMs = 2_000;

/** So that a try is most likely under way; the cases hold where it is not. */
const underWay = (): Promise<void> => delay(50);

async function endsPromptly(ending: PromiseLike<unknown>, what: string): Promise<void> {
  const since = Date.now();
  const ended = ending.then(undefined, () => undefined);
  await Promise.race([ended, delay(promptMs, undefined, { ref: false })]);
  const tookMs = Date.now() - since;
  assert.ok(tookMs < promptMs, `${what} took ${tookMs} ms`);
}

/** Sockets and timers that keep this process alive, by kind. */
function handles(): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const name of process.getActiveResourcesInfo()) {
    if (/TCPSocketWrap|TLSWrap|Timeout|Interval/.test(name)) counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

export const connectionCases = casesOf({
  'a delivery that finds no connection fails and is welcome again, and the next one opens anew':
    async (ground) => {
      await using endpoint = ground.open();
      const stream = newStream();
      await ground.place.interrupt();
      const early = deliver(ground, endpoint, deliveryOf([eventAt(1)], { stream }));
      assert.equal((await failureOf(early)).verdict, 'again');
      await ground.place.mend();
      await deliver(ground, endpoint, deliveryOf([eventAt(1)], { stream, attempt: 2 }));
      await ground.place.interrupt();
      const late = deliver(ground, endpoint, deliveryOf([eventAt(2)], { stream }));
      assert.equal((await failureOf(late)).verdict, 'again');
      await ground.place.mend();
      await deliver(ground, endpoint, deliveryOf([eventAt(2)], { stream, attempt: 2 }));
      const came = await arrived(ground, 2);
      assert.deepEqual(new Set(came.map(({ id }) => id)), new Set(['1.0', '2.0']));
    },

  'a connection that breaks under a delivery fails it, and one that broke between two costs one try at most':
    async (ground) => {
      await using endpoint = ground.open();
      const stream = newStream();
      await deliver(ground, endpoint, deliveryOf([eventAt(1)], { stream }));
      await ground.place.hold();
      const failure = failureOf(deliver(ground, endpoint, deliveryOf([eventAt(2)], { stream })));
      failure.catch(() => undefined);
      await underWay();
      await ground.place.interrupt();
      assert.equal((await failure).verdict, 'again');
      await ground.place.mend();
      await deliver(ground, endpoint, deliveryOf([eventAt(2)], { stream, attempt: 2 }));
      await ground.place.interrupt();
      await ground.place.mend();
      const third = deliveryOf([eventAt(3)], { stream });
      await deliver(ground, endpoint, third).catch(() => deliver(ground, endpoint, third));
      await arrived(ground, 3);
    },

  'the signal ends a try at once, before it connects, while it connects and under way': async (
    ground,
  ) => {
    await using endpoint = ground.open();
    const stream = newStream();
    const over = AbortSignal.abort(new Error('over'));
    await assert.rejects(endpoint.deliver(deliveryOf([eventAt(1)], { stream }), over));
    await ground.place.hold();
    for (const connected of [false, true]) {
      if (connected) {
        await ground.place.mend();
        await deliver(ground, endpoint, deliveryOf([eventAt(1)], { stream }));
        await ground.place.hold();
      }
      const ending = new AbortController();
      const hung = endpoint.deliver(deliveryOf([eventAt(2)], { stream }), ending.signal);
      hung.catch(() => undefined);
      await underWay();
      ending.abort(new Error('over'));
      await endsPromptly(hung, 'a delivery whose signal was aborted');
      await assert.rejects(hung);
    }
    await ground.place.mend();
    await deliver(ground, endpoint, deliveryOf([eventAt(2)], { stream, attempt: 2 }));
    assert.ok((await arrived(ground, 2)).some(({ id }) => id === '2.0'));
  },

  'endpoints of one server and account use one connection, and each gives it back alone': async (
    ground,
  ) => {
    const { kind, place, settings, connections } = ground;
    if (place.sibling === undefined) return;
    const sibling = kind.parse(place.sibling, settings);
    assert.notEqual(sibling.normal, ground.target.normal);
    {
      await using one = ground.open();
      {
        await using other = ground.open(sibling);
        await deliver(ground, one, deliveryOf([eventAt(1)]));
        await deliver(ground, other, deliveryOf([eventAt(1)]));
        assert.equal(connections.size, 1);
      }
      assert.equal(connections.size, 1);
      await deliver(ground, one, deliveryOf([eventAt(1)]));
    }
    assert.equal(connections.size, 0);
  },

  'what is disposed of leaves no socket, no timer and no shared connection': async (ground) => {
    await ground.place.received();
    await delay(1);
    const before = handles();
    const endpoint = ground.open();
    const idle = ground.open();
    await deliver(ground, endpoint, deliveryOf([eventAt(1)]));
    await ground.place.received();
    await endpoint[Symbol.asyncDispose]();
    await endpoint[Symbol.asyncDispose]();
    await idle[Symbol.asyncDispose]();
    assert.equal(ground.connections.size, 0);
    const until = Date.now() + promptMs;
    const left = (): string[] =>
      Object.entries(handles())
        .filter(([name, count]) => count > (before[name] ?? 0))
        .map(([name, count]) => `${count} ${name}, ${before[name] ?? 0} before`);
    await delay(1);
    while (left().length > 0 && Date.now() < until) await delay(10);
    assert.deepEqual(left(), []);
  },

  'what is disposed of while a delivery hangs ends it, also on a connection that stays': async (
    ground,
  ) => {
    const { kind, place, settings } = ground;
    const sibling = place.sibling === undefined ? undefined : kind.parse(place.sibling, settings);
    await using stays = sibling && ground.open(sibling);
    if (stays !== undefined) await deliver(ground, stays, deliveryOf([eventAt(1)]));
    const endpoint = ground.open();
    await deliver(ground, endpoint, deliveryOf([eventAt(1)]));
    await ground.place.hold();
    const hung = deliver(ground, endpoint, deliveryOf([eventAt(2)]));
    hung.catch(() => undefined);
    await underWay();
    await endsPromptly(endpoint[Symbol.asyncDispose](), 'the disposal');
    await endsPromptly(hung, 'the delivery');
    await assert.rejects(hung);
    await ground.place.mend();
  },
});
