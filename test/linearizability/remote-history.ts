import { isWaymarkError, type Namespace, open } from 'waymark';
import {
  type CommitCall,
  type CommitInput,
  type CommitOutput,
  HistoryRecorder,
  type LoggedChange,
  type WatchRecord,
} from 'waymark/testing';
import { FaultProxy } from '../faults/proxy.js';
import { SeededRandom } from '../faults/random.js';
import { collect, run, sentinel, settle, work } from './workload.js';

export interface HistoryOptions {
  /** The server's own address. */
  readonly url: string;
  readonly namespace: string;
  readonly seed: number;
  readonly clients: number;
  readonly operations: number;
}

export interface RecordedHistory {
  readonly calls: readonly CommitCall[];
  readonly log: readonly LoggedChange[];
  /** What two watchers met that ran along behind the faults. */
  readonly watched: readonly (readonly WatchRecord[])[];
  readonly after: number;
  readonly cuts: number;
}

/** Clients work on ten keys through a proxy that cuts their connections at random, while two watchers look on. */
export async function recordHistory(options: HistoryOptions): Promise<RecordedHistory> {
  const random = new SeededRandom(options.seed);
  await using proxy = await FaultProxy.open(options.url);
  await using direct = await answered(() => open(options.url));
  const namespace = direct.namespace<string>(options.namespace);
  const { revision: after } = await answered(() => direct.status());
  const log = collect(namespace, after);
  const spaces = await Promise.all(
    Array.from({ length: options.clients + 2 }, (_, index) =>
      answered(() => open(proxy.url, { owner: `client-${index}` })),
    ),
  );
  const watched = spaces
    .slice(0, 2)
    .map((space) => collect(space.namespace<string>(options.namespace), after));
  const recorder = new HistoryRecorder<CommitInput, CommitOutput>();
  let working = true;
  const nemesis = cutAtRandom(proxy, random, () => working);
  await Promise.all(
    spaces.slice(2).map((space, client) => {
      const own = new SeededRandom(options.seed * 31 + client);
      const count = Math.floor(options.operations / options.clients);
      return work({
        namespace: space.namespace<string>(options.namespace),
        client,
        random: own,
        recorder,
        goesOn: (number) => number < count,
      });
    }),
  );
  working = false;
  const cuts = await nemesis;
  await end(namespace, recorder);
  const logged = await log;
  const streams = await Promise.all(watched);
  await Promise.all(spaces.map((space) => space.close()));
  return {
    calls: recorder.history(),
    log: logged.flatMap((record) => (record.type === 'batch' ? record.changes : [])),
    watched: streams,
    after,
    cuts,
  };
}

/** Asks until there is an answer: the engine may be away. */
async function answered<T>(ask: () => Promise<T>): Promise<T> {
  const until = performance.now() + 120_000;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!isWaymarkError(error, 'unavailable') || performance.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** The last write, which all watch for. An engine that is being harmed may need several tries; what may have been applied is looked for. */
async function end(
  namespace: Namespace<string>,
  recorder: HistoryRecorder<CommitInput, CommitOutput>,
): Promise<void> {
  const input: CommitInput = { apply: [{ op: 'put', key: sentinel, value: 'end' }] };
  for (let there = false; !there;) {
    const last = recorder.begin(-1, input);
    try {
      last.ok(await run(namespace, input));
      return;
    } catch (error) {
      settle(last, input, error);
    }
    const until = performance.now() + 1_000;
    while (!there && performance.now() < until) {
      there = (await namespace.get(sentinel).catch(() => null)) !== null;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

async function cutAtRandom(
  proxy: FaultProxy,
  random: SeededRandom,
  working: () => boolean,
): Promise<number> {
  let cuts = 0;
  while (working()) {
    await new Promise((resolve) => setTimeout(resolve, 5 + random.below(30)));
    // Now and then the requests still arrive and only their answers are lost.
    if (random.next() < 0.3) {
      proxy.replyDrop = true;
      await new Promise((resolve) => setTimeout(resolve, 3));
      proxy.cutAll();
      proxy.replyDrop = false;
    } else {
      proxy.cut(random.below(1_000));
    }
    cuts++;
  }
  return cuts;
}
