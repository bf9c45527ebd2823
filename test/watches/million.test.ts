import { expect, test } from 'vitest';
import {
  type Engine,
  type KeyRange,
  openRemoteEngine,
  type Operation,
  prefixRange,
} from 'waymark/engine';
import { checkWatch } from 'waymark/testing';
import { FaultProxy } from '../faults/proxy.js';
import { chooseSeed, SeededRandom, sized } from '../faults/random.js';
import { ServerProcess } from '../faults/server-process.js';
import { ResyncingWatcher } from './resyncing-watcher.js';
import { stateAt, WrittenLog } from './watched-log.js';

const watchers = 50;
const connections = 10;
const deliveries = sized(1_000_000, 3_000_000);
const inFlight = 64;
const compactEveryMs = 200;
/** Compaction leaves so many revisions, and each fifth time none: who is behind then must notice. */
const kept = 2_000;

const folders = Array.from({ length: 10 }, (_, n) => `d${n}/`);
const keysPerFolder = 20;

const cutsMin = 5;

test(`[K8] ${deliveries} events through ${watchers} watchers with reconnects and compaction`, async () => {
  const random = new SeededRandom(chooseSeed('test/watches/million.test.ts'));
  await using server = await ServerProcess.start('memory');
  await using proxy = await FaultProxy.open(server.url);
  await using direct = await openRemoteEngine(server.url);
  const remotes = await Promise.all(
    Array.from({ length: connections }, () => openRemoteEngine(proxy.url)),
  );
  const compactions = new Rounds();
  const { revision: after } = await direct.status();
  const all = Array.from({ length: watchers }, (_, n) => {
    // Every tenth takes one batch a compaction round: compaction overtakes it again and again.
    const slow = n % 10 === 9;
    const options = slow ? { after, between: () => compactions.next() } : { after };
    return new ResyncingWatcher(remotes[n % connections] as Engine, rangeOf(n), options);
  });
  const running = all.map((watcher) => watcher.run());
  const delivered = (): number => all.reduce((sum, watcher) => sum + watcher.delivered, 0);

  const log = new WrittenLog();
  let cuts = 0;
  const faults = every(compactEveryMs, async (round) => {
    const { revision } = await direct.status();
    await direct.compact(round % 5 === 4 ? revision : Math.max(0, revision - kept));
    proxy.cut(random.below(connections));
    cuts++;
    compactions.turn();
  });
  await Promise.all(
    Array.from({ length: inFlight }, () =>
      // A fast machine is done before enough has gone wrong: it goes on until it has.
      write(direct, random, log, () => delivered() < deliveries || cuts <= cutsMin),
    ),
  );
  await faults.stop();
  compactions.over();
  const last = await put(direct, log);
  await reached(all, last);
  for (const watcher of all) watcher.end();
  await Promise.all(running);
  for (const remote of remotes) await remote[Symbol.asyncDispose]();

  const written = log.changes();
  const breaks = all.flatMap(({ streams }) =>
    streams.flatMap((stream) => checkWatch(stream, written)),
  );
  const resyncs = all.flatMap((watcher) =>
    watcher.resyncs.map((resync) => ({ ...resync, watcher })),
  );
  console.log(
    `watches: ${delivered()} events of ${written.length} changes to ${watchers} watchers, ${cuts} connections cut, ` +
      `${resyncs.length} resyncs, ${breaks.length} rules broken`,
  );
  expect(breaks.slice(0, 5)).toEqual([]);
  for (const { revision, entries, watcher } of resyncs) {
    expect(entries).toEqual(stateAt(written, revision, watcher.matches));
  }
  expect(delivered()).toBeGreaterThanOrEqual(deliveries);
  expect(cuts).toBeGreaterThan(cutsMin);
  expect(resyncs.length, 'compaction overtook somebody').toBeGreaterThan(0);
});

/** Two fifths watch everything, the others a folder or a key. */
function rangeOf(n: number): KeyRange {
  if (n % 5 < 2) return prefixRange('d');
  const folder = folders[n % folders.length] as string;
  return n % 5 < 4 ? prefixRange(folder) : { key: `${folder}k3` };
}

async function write(
  engine: Engine,
  random: SeededRandom,
  log: WrittenLog,
  more: () => boolean,
): Promise<void> {
  while (more()) {
    const operations = new Map<string, Operation>();
    for (let left = 1 + random.below(8); left > 0; left--) {
      const key = `${random.pick(folders)}k${random.below(keysPerFolder)}`;
      const gone = random.below(8) === 0;
      operations.set(
        key,
        gone ? { type: 'delete', key } : { type: 'put', key, value: String(random.below(1e9)) },
      );
    }
    const apply = [...operations.values()];
    log.add(apply, await engine.commit({ apply }));
  }
}

/** A last change that every watcher sees. @returns its revision */
async function put(engine: Engine, log: WrittenLog): Promise<number> {
  const apply = folders.map((folder): Operation => ({
    type: 'put',
    key: `${folder}k3`,
    value: 'end',
  }));
  const outcome = await engine.commit({ apply });
  log.add(apply, outcome);
  return outcome.revision;
}

async function reached(all: readonly ResyncingWatcher[], revision: number): Promise<void> {
  while (all.some((watcher) => watcher.told < revision))
    await new Promise((resolve) => setImmediate(resolve));
}

/** Rounds that others can wait for the next of. */
class Rounds {
  #waiting: (() => void)[] = [];
  #over = false;

  next(): Promise<void> {
    return this.#over ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve));
  }

  turn(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }

  over(): void {
    this.#over = true;
    this.turn();
  }
}

function every(ms: number, run: (round: number) => Promise<void>): { stop(): Promise<void> } {
  let round = 0;
  let last = Promise.resolve();
  const timer = setInterval(() => {
    last = last.then(() => run(round++));
  }, ms);
  return {
    stop: () => {
      clearInterval(timer);
      return last;
    },
  };
}
