import { type Engine, openEngine } from 'waymark/engine';

/**
 * Runs on a host of the rig: writes by one member of etcd, and watches by another. Each order is answered in turn: a number asks for so many
 * writes, each a commit of its own, and is answered by the present revision; `report` waits until the watch is there.
 */
export interface BehindReport {
  readonly delivered: number;
  /** Changes that came again, or out of order. */
  readonly repeated: number;
}

const [writeBy = '', watchBy = ''] = process.argv.slice(2);
const ahead = await openEngine(`etcd://${writeBy}/behind?timeoutMs=20000`);
const behind = await openEngine(`etcd://${watchBy}/behind`);
const atOnce = 100;

let [delivered, repeated, reached] = [0, 0, 0];
let present = (await ahead.status()).revision;
let arrived: () => void = () => {};

void watch(behind, present);
process.on('message', (order: number | 'report') => {
  void (order === 'report' ? report() : write(order)).then((answer) => process.send?.(answer));
});
process.send?.('ready');

async function watch(engine: Engine, after: number): Promise<void> {
  for await (const { revision, changes } of engine.watch([{ key: '', end: '' }], { after })) {
    for (const { entry } of changes) {
      delivered++;
      if (entry.modRevision <= reached) repeated++;
    }
    reached = Math.max(reached, revision);
    arrived();
  }
}

async function write(count: number): Promise<number> {
  for (let number = 0; number < count; number += atOnce) {
    const outcomes = Array.from({ length: atOnce }, (_, index) => {
      const apply = [{ type: 'put' as const, key: `k${index}`, value: '' }];
      return ahead.commit({ apply }, { alone: true });
    });
    for (const { revision } of await Promise.all(outcomes)) present = Math.max(present, revision);
  }
  return present;
}

async function report(): Promise<BehindReport> {
  while (reached < present) await new Promise<void>((resolve) => (arrived = resolve));
  return { delivered, repeated };
}
