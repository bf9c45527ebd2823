import { setTimeout as sleep } from 'node:timers/promises';
import { open, type Space } from 'waymark';
import {
  type CommitCall,
  type CommitInput,
  type CommitOutput,
  HistoryRecorder,
  type WatchRecord,
} from 'waymark/testing';
import { collect, run, sentinel, settle, work } from '../../linearizability/workload.js';
import { SeededRandom } from '../random.js';

/** A process of clients on a host of the rig, each with a connection of its own; one watcher looks on. It does what it is told, in turns. */
export type ClientsOrder =
  /** Makes the connections; answers null. */
  | { readonly type: 'connect'; readonly first: number; readonly urls: readonly string[] }
  /** Makes a namespace of this name; answers the revision that a history in it starts after. */
  | { readonly type: 'begin'; readonly namespace: string }
  | ({ readonly type: 'work' } & WorkOrder)
  /** Answers null once no call is under way. */
  | { readonly type: 'stop' }
  /** Writes the sentinel; answers its revision. */
  | { readonly type: 'end' }
  /** Waits for the watcher to meet the sentinel; answers what was recorded. */
  | { readonly type: 'report' };

export interface WorkOrder {
  readonly namespace: string;
  readonly seed: number;
  readonly after: number;
  /** A call is given up after so long. */
  readonly callMs: number;
  /** Between two calls of a client: up to so long, at random. */
  readonly pauseMs: number;
  readonly stale: boolean;
}

export interface ClientsReport {
  readonly calls: readonly CommitCall[];
  readonly watched: readonly WatchRecord[] | string;
}

type Recorder = HistoryRecorder<CommitInput, CommitOutput>;

/** So long for what must succeed once all faults are over. */
const patienceMs = 20_000;

let spaces: Space[] = [];
let first = 0;
let namespace = '';
let recorder: Recorder;
let working = false;
let workers: Promise<unknown> = Promise.resolve();
let watched: Promise<readonly WatchRecord[] | string> = Promise.resolve('no watch');

process.on('message', (order: ClientsOrder) => {
  void obey(order).then((answer) => process.send?.({ answer }));
});
process.send?.('ready');

async function obey(order: ClientsOrder): Promise<unknown> {
  switch (order.type) {
    case 'connect':
      first = order.first;
      spaces = await Promise.all(
        order.urls.map((url, index) => open(url, { owner: `client-${first + index}` })),
      );
      return null;
    case 'begin':
      return await insist(
        async () => (await spaceOf(0).namespace(order.namespace).put('/begin', '')).revision,
      );
    case 'work':
      begin(order);
      return null;
    case 'stop':
      working = false;
      await workers;
      return null;
    case 'end':
      return await end();
    case 'report': {
      const late = sleep(patienceMs, 'it never met the sentinel', { ref: false });
      const report = { watched: await Promise.race([watched, late]), calls: recorder.history() };
      return JSON.stringify(report, (_, value: unknown) => (value === Infinity ? null : value));
    }
  }
}

function spaceOf(index: number): Space {
  return spaces[index] as Space;
}

function begin(order: WorkOrder): void {
  namespace = order.namespace;
  recorder = new HistoryRecorder(() => Number(process.hrtime.bigint()));
  working = true;
  watched = collect(spaceOf(0).namespace<string>(namespace), order.after).catch(
    (error: unknown) => `it ended: ${String(error)}`,
  );
  workers = Promise.all(
    spaces.map((space, index) => {
      const random = new SeededRandom(order.seed * 31 + first + index);
      return work({
        namespace: space.namespace<string>(namespace),
        client: first + index,
        random,
        recorder,
        goesOn: () => working,
        how: { withinMs: order.callMs, stale: order.stale },
        pause: () => sleep(random.next() * order.pauseMs),
      });
    }),
  );
}

async function end(): Promise<number> {
  let tries = 0;
  return await insist(async () => {
    const input: CommitInput = {
      apply: [{ op: 'put', key: sentinel, value: `end ${++tries}` }],
    };
    const call = recorder.begin(-1, input);
    try {
      const output = await run(spaceOf(0).namespace<string>(namespace), input, { withinMs: 2_000 });
      call.ok(output);
      return output.revision ?? 0;
    } catch (error) {
      settle(call, input, error);
      throw error;
    }
  });
}

async function insist<T>(attempt: () => Promise<T>): Promise<T> {
  for (const until = performance.now() + patienceMs; ;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > until) throw error;
    }
  }
}
