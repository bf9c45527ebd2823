import type { ByteString, Engine, Operation } from 'waymark/engine';
import { all, checkpointKey, processorKey } from './keys.js';
import type { EndpointWorker } from './endpoint-worker.js';
import { type CheckpointRecord, encodeRecord } from './records.js';
import type { Registry } from './registry.js';

/** Events of the registry that are kept. */
const eventsMax = 10_000;
/** Deleted by one commit, and read at once. */
const trimMax = 100;
const trimReadMax = 2_000;

export interface Checkpointed {
  readonly id: string;
  readonly position: number;
  readonly held: readonly {
    readonly endpoint: { readonly id: string };
    readonly worker: Pick<EndpointWorker, 'idle' | 'position' | 'failingSince'>;
  }[];
  /** Endpoints that it had, and of which it could not keep how far they were told. */
  readonly untold: ReadonlySet<string>;
  /** Unix time in ms. */
  readonly now: number;
  /** What is told now came this long ago at most, or no history is kept for it. */
  readonly heldMs: number;
  /** The present of `heldMs` ago, as far as it is known. */
  readonly oldest: number;
  /** The revision of the last one: nothing is written while nothing else was. */
  readonly last: number;
}

/**
 * Says up to where all is told of what this processor holds and that has nothing waiting (W3.5): so an endpoint that matches nothing costs no write of its own, and still
 * stands near the present when another processor takes it over.
 *
 * @param record  of the processor, told along
 * @returns the revision of the checkpoint, and the lowest one after which something is still to be told
 */
export async function writeCheckpoint(
  engine: Engine,
  registry: Registry,
  { id, position, held, untold, last, now, heldMs, oldest }: Checkpointed,
  record: ByteString,
): Promise<{ readonly revision: number; readonly low: number }> {
  // What stands under its name and is not told may be another's soon: no checkpoint of it speaks for that.
  const busy = Array.from(untold, shortOf);
  let low = position;
  for (const { endpoint, worker } of held) {
    if (worker.idle && worker.position.revision >= position) continue;
    busy.push(shortOf(endpoint.id));
    const { failingSince, position: told } = worker;
    // Who fails for so long, or is so far behind, is told what is there in its place.
    const late = failingSince !== null && now - failingSince > heldMs;
    if (!late && told.revision >= oldest) low = Math.min(low, told.revision);
  }
  const { revision } = await engine.status();
  if (revision === last) return { revision: last, low };
  const checkpoint: CheckpointRecord = { revision: position, busy, low };
  const key = processorKey(id);
  const outcome = await engine.commit({
    when: [{ key, target: 'version', is: '>', to: 0 }],
    apply: [
      { type: 'put', key: checkpointKey(id), value: encodeRecord(checkpoint) },
      { type: 'put', key, value: record, keepLease: true },
      ...leftOver(registry, id, held),
    ],
  });
  await trimEvents(engine);
  return { revision: outcome.revision, low };
}

/** As `busy` names endpoints. */
export function shortOf(endpoint: string): string {
  return endpoint.slice(0, 16);
}

/**
 * Whether every endpoint is in the checkpoint of who has it: one that changes hands is in nobody's for a while, though it may need more history than all others do.
 *
 * @param held  what the processor `id` has, and tells of itself
 */
export function allSpokenFor(registry: Registry, id: string, held: ReadonlySet<string>): boolean {
  for (const { id: endpoint, hold } of registry.endpoints.values()) {
    if (held.has(endpoint)) continue;
    if (hold === null || hold.processor === id) return false;
    const checkpoint = registry.checkpoints.get(hold.processor);
    if (checkpoint === undefined || checkpoint.modRevision <= hold.fence) return false;
  }
  return true;
}

/** Checkpoints of processors that are gone, once no endpoint stands where they left it. */
function leftOver(registry: Registry, id: string, held: Checkpointed['held']): Operation[] {
  if (!allSpokenFor(registry, id, new Set(held.map(({ endpoint }) => endpoint.id)))) return [];
  return [...registry.checkpoints.keys()]
    .filter((one) => one !== id && !registry.processors.has(one))
    .slice(0, trimMax)
    .map((one) => ({ type: 'delete', key: checkpointKey(one) }));
}

/** However many come between two checkpoints. */
async function trimEvents(engine: Engine): Promise<void> {
  for (;;) {
    const { count } = await engine.read({ ...all.events, countOnly: true });
    if (count <= eventsMax) return;
    const limit = Math.min(count - eventsMax, trimReadMax);
    const oldest = { ...all.events, orderBy: 'mod', limit, keysOnly: true } as const;
    const { entries } = await engine.read(oldest);
    for (let from = 0; from < entries.length; from += trimMax) {
      const some = entries.slice(from, from + trimMax);
      await engine.commit({ apply: some.map(({ key }) => ({ type: 'delete', key })) });
    }
  }
}
