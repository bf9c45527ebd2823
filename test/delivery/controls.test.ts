import {
  type CommitOptions,
  createMemoryEngine,
  type Engine,
  type Outcome,
  type Txn,
} from 'waymark/engine';
import { expect, test } from 'vitest';
import type {
  Delivery,
  Endpoint,
  EndpointKind,
} from '../../packages/server/src/endpoints/endpoint.js';
import { all, holdKey, lastPart } from '../../packages/server/src/watchers/keys.js';
import { decodeRecord, type StateRecord } from '../../packages/server/src/watchers/records.js';
import { usualSettings } from '../support/drivers.js';
import { CutOff } from '../watchers/cut-off.js';
import { process, type Running } from '../watchers/processors.js';
import { register } from '../watchers/registered.js';
import { hanging, Sinks } from '../watchers/sink.js';
import { type Arrival, judge } from './arrivals.js';

/** Processors with a bug planted in them: the judge of the rig passes what happens without the bug, and finds it with the bug. */

const judged = (arrivals: readonly Arrival[], changes: number) => (): object =>
  judge(arrivals, { paths: pathsTo(changes), batch: 1, fences: false, what: 'sink' });

const pathsTo = (count: number): string[] => Array.from({ length: count }, (_, n) => `/o/${n}`);

for (const bug of [false, true]) {
  test(`[W3.1] a cursor that is saved before the answer: ${bug ? 'found' : 'not so here'}`, async () => {
    const arrivals = await lostUnderWay(bug);
    if (bug) expect(judged(arrivals, 10)).toThrow('follows what came before it');
    else expect(judged(arrivals, 10)()).toMatchObject({ repeats: 0, fences: 2 });
  }, 30_000);

  test(`[W1.3] a cursor that is saved without the fence: ${bug ? 'found' : 'not so here'}`, async () => {
    const arrivals = await wokenLate(bug);
    if (bug) expect(judged(arrivals, 10)).toThrow('came again');
    else expect(judged(arrivals, 10)()).toMatchObject({ repeats: 1, fences: 3 });
  }, 30_000);
}

/** A processor dies while a delivery is under way. @param bug  whether its sender answers before the delivery is made */
async function lostUnderWay(bug: boolean): Promise<readonly Arrival[]> {
  const { sinks, engine, arrivals } = await ground();
  const own = new CutOff(engine);
  const opened = bug ? answersBefore(sinks.kind) : sinks.kind;
  const open = ({ record }: { readonly record: { readonly normal: string } }): Endpoint =>
    opened.open(opened.parse(record.normal, usualSettings), usualSettings, undefined as never);
  const first = process(sinks, { engine: own, ttlMs: 1_000, open });
  sinks.answer('a', async (delivery, signal) => {
    if (delivery.events[0]?.path === '/o/4') await hanging(delivery, signal);
    arrivals.take(delivery);
  });
  await write(first, 0, 5);
  await sinks.begun(5);
  if (bug) await told(engine, 5);
  own.cut();
  await first[Symbol.asyncDispose]();
  sinks.answer('a', (delivery) => arrivals.take(delivery));
  await using second = process(sinks, { engine, ttlMs: 1_000 });
  await write(second, 5, 10);
  await sinks.until(() => arrivals.all.some(({ path }) => path === '/o/9'));
  return arrivals.all;
}

/** A processor sleeps between an answer and its commit, and wakes when another has told more; a third one goes on from the cursor. @param bug  whether commits of the cursor leave the fence out */
async function wokenLate(bug: boolean): Promise<readonly Arrival[]> {
  const { sinks, engine, arrivals } = await ground();
  const own = bug ? new Unfenced(engine) : new CutOff(engine);
  const sleeper = process(sinks, { engine: own, ttlMs: 1_000 });
  let answer = (): void => {};
  sinks.answer('a', async (delivery) => {
    arrivals.take(delivery);
    await new Promise<void>((resolve) => (answer = resolve));
  });
  await write(sleeper, 0, 1);
  await sinks.begun(1);
  const wake = own.stop();
  sinks.answer('a', (delivery) => arrivals.take(delivery));
  answer();
  const seconds = new CutOff(engine);
  const second = process(sinks, { engine: seconds, ttlMs: 1_000 });
  await sinks.until(() => arrivals.all.length === 2);
  await write(second, 1, 9);
  await told(engine, 9);
  seconds.cut();
  await second[Symbol.asyncDispose]();
  wake();
  await sleeper[Symbol.asyncDispose]();
  await using third = process(sinks, { engine, ttlMs: 1_000 });
  await write(third, 9, 10);
  await sinks.until(() => arrivals.all.some(({ path }) => path === '/o/9'));
  return arrivals.all;
}

interface Arrivals {
  readonly all: readonly Arrival[];
  take(delivery: Delivery): void;
}

async function ground(): Promise<{ sinks: Sinks; engine: Engine; arrivals: Arrivals }> {
  const engine = createMemoryEngine();
  await register(engine, { pattern: '/o/*', retry: 'forever', timeoutMs: 60_000 });
  const came: Arrival[] = [];
  const take = ({ events, fence }: Delivery): void => {
    came.push(...events.map((event) => ({ ...event, fence })));
  };
  return { sinks: new Sinks(), engine, arrivals: { all: came, take } };
}

async function write({ space }: Running, from: number, to: number): Promise<void> {
  const namespace = space.namespace('default');
  for (let n = from; n < to; n++) await namespace.put(`/o/${n}`, n);
}

/** Once a cursor says that so much was delivered. */
async function told(engine: Engine, count: number): Promise<void> {
  for await (const { changes } of engine.watch([all.states], { after: 0 })) {
    const states = changes.map(({ entry }) => decodeRecord<StateRecord>(entry.value));
    if (states.some(({ delivered }) => delivered >= count)) return;
  }
}

/** Its deliveries are made one after the other as well, and what has not been made is lost with the process. */
function answersBefore(kind: EndpointKind): EndpointKind {
  let last: Promise<unknown> = Promise.resolve();
  return {
    ...kind,
    open: (...how) => {
      const endpoint = kind.open(...how);
      return {
        deliver: (delivery, signal) => {
          last = last.then(() => endpoint.deliver(delivery, signal)).catch(() => undefined);
          return Promise.resolve();
        },
        [Symbol.asyncDispose]: () => endpoint[Symbol.asyncDispose](),
      };
    },
  };
}

/** Commits that put a cursor do not ask whose the hold is. */
class Unfenced extends CutOff {
  override commit(txn: Txn, options?: CommitOptions): Promise<Outcome> {
    const states = (txn.apply ?? []).flatMap((one) =>
      one.type === 'put' && one.key.startsWith(all.states.key) ? [lastPart(one.key)] : [],
    );
    const when = txn.when?.filter(({ key }) => !states.some((id) => key === holdKey(id)));
    return super.commit(when === undefined ? txn : { ...txn, when }, options);
  }
}
