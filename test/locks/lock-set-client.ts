import { setTimeout as sleep } from 'node:timers/promises';
import { isWaymarkError, type Lock, type Namespace, open } from 'waymark';
import { StoreClient } from './fenced-store.js';

/**
 * One process of the lock-set test: takes locks, several at a time, and adds one to what each protects. It asks whether it still holds
 * before the pause that may come, and then writes: only what is protected can refuse the late write.
 */
export interface ClientTask {
  readonly url: string;
  /** Absent: there is no store. */
  readonly storePort?: number;
  /** The engine itself fails at times: what a call of unknown outcome left stands, and conflicts with its own session, until its lease ends. */
  readonly faultyEngine?: boolean;
  readonly locks: number;
  readonly lanes: number;
  readonly ttlMs: number;
  readonly sectionMsMax: number;
  /** `store`: a counter in the store; `guarded`: a key in Waymark, written under the hold; `unguarded`: the same key, unprotected. */
  readonly target: 'store' | 'guarded' | 'unguarded';
}

/** `pause` is answered by `paused`, once a section has begun; `stop` by a {@link ClientReport}. */
export type ClientOrder = 'pause' | 'stop';

export interface ClientReport {
  /** Acknowledged additions by lock name. */
  readonly added: Readonly<Record<string, number>>;
  readonly refused: number;
  /** Writes with an unknown outcome. */
  readonly unknown: number;
  readonly lost: number;
}

const task = JSON.parse(process.argv[2] ?? '{}') as ClientTask;
const space = await open(task.url, { owner: `client-${process.pid}` });
const locks = space.namespace<number>('locks');
const plain = space.namespace<number>('locks', { guard: false });
const store = task.storePort === undefined ? null : new StoreClient(task.storePort);
const added: Record<string, number> = {};
const tally = { refused: 0, unknown: 0, lost: 0 };
const busy = new Set<string>();
const stopping = new AbortController();

/** The next section stops this process in its middle; whoever asked lets it go on. */
let pauseNext = false;

process.on('message', (order: ClientOrder) => {
  if (order === 'pause') pauseNext = true;
  else stopping.abort();
});
process.send?.('ready');
await Promise.all(Array.from({ length: task.lanes }, lane));
store?.close();
await space.close().catch(() => undefined);
process.send?.({ added, ...tally } satisfies ClientReport);
process.disconnect();

async function lane(): Promise<void> {
  while (!stopping.signal.aborted) {
    const name = `/lock-${Math.floor(Math.random() * task.locks)}`;
    // A session never waits for itself: two lanes of one process take different locks.
    if (busy.has(name)) {
      await sleep(1);
      continue;
    }
    busy.add(name);
    try {
      const lock = await locks.lock(name, { ttlMs: task.ttlMs, signal: stopping.signal });
      await section(lock, name);
      await lock.release();
    } catch (error) {
      if (stopping.signal.aborted) return;
      if (!isWaymarkError(error)) throw error;
      const left = error.code === 'conflict' && task.faultyEngine === true;
      const passing = ['lost', 'unavailable', 'uncertain'].includes(error.code);
      if (!left && !passing) throw error;
      tally.lost++;
      if (left) await sleep(50);
    } finally {
      busy.delete(name);
    }
  }
}

async function section(lock: Lock, name: string): Promise<void> {
  const { token } = lock;
  const count = store === null ? await readKey(name) : await store.ask({ name, token });
  if (count === null || !lock.isHeld()) return;
  if (pauseNext) await pauseHere();
  else await sleep(Math.random() * task.sectionMsMax);
  const done =
    store === null
      ? await writeKey(lock, name, count + 1)
      : await store.ask({ name, token, write: count + 1 });
  if (done === null) tally.refused++;
  else added[name] = (added[name] ?? 0) + 1;
}

function pauseHere(): Promise<void> {
  pauseNext = false;
  return new Promise((resolve) => {
    process.send?.('paused', () => {
      process.kill(process.pid, 'SIGSTOP');
      resolve();
    });
  });
}

/** Beside the lock, not under it: only the hold that is named protects it. */
function dataOf(name: string): string {
  return `/data${name}`;
}

async function readKey(name: string): Promise<number> {
  return (await locks.get(dataOf(name)))?.value ?? 0;
}

async function writeKey(lock: Lock, name: string, count: number): Promise<number | null> {
  const guarded = task.target === 'guarded';
  const into: Namespace<number> = guarded ? locks : plain;
  try {
    await into.put(dataOf(name), count, guarded ? { hold: lock } : {});
    return count;
  } catch (error) {
    if (isWaymarkError(error, 'lost') || isWaymarkError(error, 'locked')) return null;
    if (!isWaymarkError(error, 'uncertain')) throw error;
    tally.unknown++;
    throw error;
  }
}
