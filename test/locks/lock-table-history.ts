import { isWaymarkError, type Lock, type Space } from 'waymark';
import {
  type Call,
  HistoryRecorder,
  type Locked,
  type LockInput,
  type LockOutput,
} from 'waymark/testing';
import { type MortalClient, orDeath } from '../faults/mortal.js';
import type { SeededRandom } from '../faults/random.js';

export interface LockTableOptions {
  readonly random: SeededRandom;
  readonly namespace: string;
  readonly clients: number;
  /** Requests for a lock per client. */
  readonly requests: number;
  /** The chance that a client dies while it holds or waits; another takes its place. */
  readonly deaths: number;
  readonly ttlMs: number;
  readonly connect: (name: string) => Promise<MortalClient>;
  readonly sleep: (ms: number) => Promise<void>;
}

export interface LockTableHistory {
  readonly calls: readonly Call<LockInput, LockOutput>[];
  /** Writes under a live hold that were refused: there must be none. */
  readonly refused: readonly string[];
  readonly grants: number;
  readonly waited: number;
  readonly deaths: number;
}

const paths = ['/r', '/r/a', '/r/ab', '/r/a/b', '/r/a/b/c'];

/** Clients take tree, exact, shared and exclusive locks that overlap; each holder writes under its hold. */
export async function recordLockTable(options: LockTableOptions): Promise<LockTableHistory> {
  const recorder = new HistoryRecorder<LockInput, LockOutput>();
  const tally = { refused: [] as string[], grants: 0, waited: 0, deaths: 0 };
  const spaces: Space[] = [];
  await Promise.all(
    Array.from({ length: options.clients }, async (_, client) => {
      let mortal = await options.connect(`client-${client}`);
      spaces.push(mortal.space);
      for (let number = 0; number < options.requests; number++) {
        await once(mortal, client, `${client}.${number}`, options, recorder, tally);
        if (!mortal.dead.aborted) continue;
        tally.deaths++;
        mortal = await options.connect(`client-${client}+${number}`);
        spaces.push(mortal.space);
      }
    }),
  );
  for (const space of spaces) void space.close().catch(() => undefined);
  return { calls: recorder.history(), ...tally };
}

async function once(
  mortal: MortalClient,
  client: number,
  id: string,
  options: LockTableOptions,
  recorder: HistoryRecorder<LockInput, LockOutput>,
  tally: { refused: string[]; grants: number; waited: number },
): Promise<void> {
  const { random, sleep, ttlMs } = options;
  const namespace = mortal.space.namespace<string>(options.namespace);
  const locked: Locked = {
    id,
    path: random.pick(paths),
    tree: random.next() < 0.4,
    mode: random.next() < 0.35 ? 'shared' : 'exclusive',
  };
  const { path, tree, mode } = locked;
  const acquire = recorder.begin(client, { op: 'acquire', lock: locked });
  const dies = random.next() < options.deaths;
  const dieAfterMs = random.below(150);
  if (dies) void sleep(dieAfterMs).then(() => mortal.kill());
  const waits = random.next() < 0.2 ? 100 : undefined;
  const began = recorder.now();
  let lock: Lock | null;
  try {
    lock = await orDeath(namespace.lock(path, { tree, mode, ttlMs, waitMs: waits }), mortal.dead);
  } catch (error) {
    // A lost acquisition left nothing behind, but its lease may have been granted and ended meanwhile.
    if (isWaymarkError(error, 'timeout')) acquire.drop();
    else if (isWaymarkError(error)) leftBehind(recorder, client, locked);
    else throw error;
    return;
  }
  if (lock === null) return leftBehind(recorder, client, locked);
  acquire.ok({ token: lock.token });
  tally.grants++;
  if (recorder.now() - began > 6) tally.waited++;
  const wrote = recorder.begin(client, { op: 'write', lock: locked });
  const under = mode === 'exclusive' ? (tree ? `${path}/x` : path) : `/journal/${client}`;
  const held = await orDeath(written(namespace.put(under, id, { hold: lock })), mortal.dead);
  if (held === null) return leftBehind(recorder, client, locked);
  wrote.ok({ held });
  if (!held)
    tally.refused.push(
      `${id} ${mode} ${tree ? 'tree' : 'exact'} ${path}: ${lock.reason?.message ?? 'though it stands'}`,
    );
  await orDeath(sleep(random.below(60)), mortal.dead);
  if (mortal.dead.aborted) return leftBehind(recorder, client, locked);
  const ended = recorder.begin(client, { op: 'end', lock: locked });
  const released = await orDeath(
    lock.release().catch(() => null),
    mortal.dead,
  );
  if (released !== null) ended.ok({ held: released });
}

/** The lease ends the hold, or the place, at some time from now on. */
function leftBehind(
  recorder: HistoryRecorder<LockInput, LockOutput>,
  client: number,
  lock: Locked,
): void {
  recorder.begin(client, { op: 'end', lock }).unknown();
}

async function written(write: Promise<unknown>): Promise<boolean> {
  try {
    await write;
    return true;
  } catch (error) {
    if (isWaymarkError(error, 'lost') || isWaymarkError(error, 'locked')) return false;
    throw error;
  }
}
