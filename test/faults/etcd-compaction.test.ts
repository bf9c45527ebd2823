import { Etcd3 } from 'etcd3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { open, type WatchEvent } from 'waymark';
import { openEngine } from 'waymark/engine';
import { type EtcdVersion, type RunningEtcd, startEtcd } from '../support/etcd.js';
import { orNotRun } from '../support/not-run.js';
import { FaultProxy } from './proxy.js';
import { chooseSeed, SeededRandom } from './random.js';

/** Someone else compacts etcd while a watch is behind: it says so, and what it missed is made up for. */
const file = 'test/faults/etcd-compaction.test.ts';

describe.each<EtcdVersion>(['3.4', '3.5'])('etcd %s', (version) => {
  if (orNotRun(`etcd-${version}`, `compaction from outside on etcd ${version}`) === null) return;
  let etcd: RunningEtcd;
  let others: Etcd3;
  let roots = 0;

  beforeAll(async () => {
    etcd = await startEtcd({ version });
    others = new Etcd3({ hosts: `http://${etcd.address}` });
  });

  afterAll(async () => {
    others.close();
    await etcd.stop();
  });

  async function compact(revision: number): Promise<void> {
    await others.kv.compact({ revision: String(revision), physical: true });
  }

  test('[K9] a watch that begins below the point ends compacted, at it and above it is whole', async () => {
    await using engine = await openEngine(`etcd://${etcd.address}/root-${roots++}`);
    const revisions: number[] = [];
    for (let number = 0; number < 10; number++) {
      const apply = [{ type: 'put' as const, key: 'k', value: String(number) }];
      revisions.push((await engine.commit({ apply })).revision);
    }
    const [first = 0, , , , middle = 0] = revisions;
    await compact(middle);
    const below = engine.watch([{ key: 'k' }], { after: first })[Symbol.asyncIterator]();
    await expect(below.next()).rejects.toMatchObject({
      code: 'compacted',
      facts: { compacted: middle },
    });
    const seen: string[] = [];
    for await (const batch of engine.watch([{ key: 'k' }], { after: middle })) {
      seen.push(...batch.changes.map(({ entry }) => entry.value));
      if (seen.includes('9')) break;
    }
    expect(seen).toEqual(['5', '6', '7', '8', '9']);
    await expect(engine.read({ key: 'k', at: first })).rejects.toMatchObject({ code: 'compacted' });
  });

  test('[K9 W6] a watch that is cut off while etcd is compacted says resync, and skips nothing', async () => {
    const random = new SeededRandom(chooseSeed(file));
    const root = `root-${roots++}`;
    await using proxy = await FaultProxy.open(`http://${etcd.address}`);
    await using behind = await open(`etcd://${proxy.url.slice('http://'.length)}/${root}`);
    await using ahead = await open(`etcd://${etcd.address}/${root}`);
    const theirs = ahead.namespace<number>('ns');
    const there = new Map<string, number>();
    const told = new Map<string, number>();
    const kinds = new Set<string>();
    const stop = new AbortController();
    const heard = new Heard();
    const watching = (async () => {
      const events = behind.namespace<number>('ns').watch('/', { tree: true, signal: stop.signal });
      for await (const event of events) {
        kinds.add(event.kind);
        note(event, told);
        if (event.kind === 'put' && event.path === '/mark') heard.tell(event.value);
      }
    })().catch((error: unknown) => {
      if (!stop.signal.aborted) throw error;
    });
    const change = async (): Promise<void> => {
      const path = `/k${random.below(20)}`;
      const value = random.below(1_000_000);
      if (random.next() < 0.3) {
        await theirs.delete(path);
        there.delete(path);
      } else {
        await theirs.put(path, value);
        there.set(path, value);
      }
    };
    for (let round = 1; round <= 5; round++) {
      for (let number = 0; number < 20; number++) await change();
      await theirs.put('/mark', round);
      there.set('/mark', round);
      await heard.until(round, watching);
      proxy.set({ replyDrop: true });
      for (let number = 0; number < 30; number++) await change();
      await compact((await ahead.status()).revision);
      for (let number = 0; number < 10; number++) await change();
      proxy.heal();
    }
    await theirs.put('/mark', 99);
    there.set('/mark', 99);
    await heard.until(99, watching);
    stop.abort();
    await watching;
    expect([...kinds].sort()).toContain('resync');
    expect(inOrder(told)).toEqual(inOrder(there));
  });
});

/** Keeps what a watch tells as a map. */
function note(event: WatchEvent<number>, told: Map<string, number>): void {
  if (event.kind === 'put') told.set(event.path, event.value);
  else if (event.kind === 'delete' || event.kind === 'expire') told.delete(event.path);
}

function inOrder(map: ReadonlyMap<string, number>): unknown {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Which mark was met last. */
class Heard {
  #last = 0;
  #waiting: () => void = () => {};

  tell(mark: number): void {
    this.#last = Math.max(this.#last, mark);
    this.#waiting();
  }

  /** @param watching  fails this when it ends */
  async until(mark: number, watching: Promise<void>): Promise<void> {
    while (this.#last < mark) {
      const next = new Promise<void>((resolve) => (this.#waiting = resolve));
      await Promise.race([next, watching]);
    }
  }
}
