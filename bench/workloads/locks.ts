import type { ClientName } from '../clients/index.js';
import { waitUntil } from '../harness/pace.js';
import { Latencies, type Sample } from '../harness/samples.js';
import { clientOf } from './load.js';

export interface ContendParams {
  readonly client: ClientName;
  readonly address: string;
  /** Each on a connection of its own. */
  readonly contenders: number;
  readonly seconds: number;
  /** How long each holds, ms: so long to twice as long, for who asks again at a fixed pace would else be in step. Default 0. */
  readonly holdMs?: number;
  /** Who released asks again only once another holds: else who polls hands over by luck, and only its luck is measured. */
  readonly inTurn?: boolean;
  /** What they contend for. Default 'lock'. */
  readonly recipe?: 'lock' | 'elect' | 'permit';
  /** What the value is: changes of holder a second, or the p50 from release to the next holder's code. */
  readonly measure: 'changes' | 'handover';
}

let round = 0;

/** One lock, many who want it: how often it changes hands, and how long the unluckiest waited. */
export async function contend(params: ContendParams): Promise<Sample> {
  const indexes = Array.from({ length: params.contenders }, (_, index) => index);
  const clients = await Promise.all(
    indexes.map((index) => clientOf(params.client, params.address, index)),
  );
  const { recipe = 'lock', holdMs } = params;
  const name = `/contended/${recipe}-${process.pid}-${round++}`;
  const handovers = new Latencies(500_000);
  const begin = performance.now() + params.seconds * 200;
  const end = begin + params.seconds * 1_000;
  let taken = (): void => {};
  let [holder, changes, releasedAt, longestWait, held, turns] = [-1, 0, 0, 0, 0, 0];
  const contender = async (index: number): Promise<void> => {
    const take = clients[index]?.[recipe];
    if (take === undefined) throw new Error(`${params.client} cannot ${recipe}`);
    for (;;) {
      const asked = performance.now();
      if (asked >= end) return taken();
      const release = await take(name);
      const got = performance.now();
      taken();
      if (++held !== 1) throw new Error(`${params.client}: two holders at once`);
      if (got >= begin && got < end) {
        if (holder !== index) changes++;
        if (holder !== index && releasedAt > 0) handovers.add(got - releasedAt);
        longestWait = Math.max(longestWait, got - asked);
      }
      holder = index;
      // Not in the fifth that does not count: held so long, hand-overs are too few for their code to be compiled.
      if (holdMs !== undefined && got >= begin)
        await waitUntil(got + holdMs * (1 + (turns++ % 8) / 8));
      held--;
      const passed = new Promise<void>((resolve) => (taken = resolve));
      releasedAt = performance.now();
      await release();
      if (params.inTurn === true && performance.now() < end) await passed;
    }
  };
  await Promise.all(indexes.map(contender));
  const { p50, p99 } = handovers.summary();
  const note = `longest wait ${longestWait.toFixed(1)} ms`;
  return {
    value: params.measure === 'changes' ? changes / params.seconds : p50,
    p50,
    p99,
    max: longestWait,
    note,
  };
}
