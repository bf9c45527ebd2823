import type { KeptLease } from 'waymark';
import type { Check, Engine, Operation, Outcome } from 'waymark/engine';
import { shortOf } from './checkpoint.js';
import { endpointKey, holdKey, stateKey } from './keys.js';
import { decodeRecord, encodeRecord, type HoldRecord, type StateRecord } from './records.js';
import type { EndpointView, Registry } from './registry.js';
import { wholeRevision } from './sequence.js';

/** Endpoints in one commit: two checks and two operations each, of 128. */
const chunkSize = 60;

/** An endpoint that is this processor's now. */
export interface Taken {
  readonly endpoint: EndpointView;
  readonly fence: number;
  readonly state: StateRecord;
}

export interface Taking {
  readonly engine: Engine;
  readonly processor: string;
  readonly lease: KeptLease;
  readonly registry: Registry;
}

interface Taker {
  readonly endpoint: EndpointView;
  readonly fence: number;
  /** Of the processor before, with its revision. */
  readonly before: { readonly state: StateRecord; readonly modRevision: number } | null;
}

/** Takes the holds that are free, and writes down who has them. What another one takes meanwhile is left out. */
export async function* takeHolds(
  taking: Taking,
  wanted: readonly EndpointView[],
): AsyncGenerator<Taken> {
  for (let from = 0; from < wanted.length; from += chunkSize) {
    const taken = await take(taking, wanted.slice(from, from + chunkSize));
    const owned = taken.map(({ endpoint, fence, before }) => {
      const state = stateOf(taking.registry, endpoint, before);
      return { endpoint, fence, state: { ...state, processor: taking.processor } };
    });
    if (owned.length > 0) yield* await own(taking, owned);
  }
}

async function take(taking: Taking, wanted: readonly EndpointView[]): Promise<Taker[]> {
  const { engine, processor, lease } = taking;
  const hold: HoldRecord = { processor };
  const value = encodeRecord(hold);
  const when: Check[] = [];
  const apply: Operation[] = [];
  for (const { id, hold: standing } of wanted) {
    // One that is its own already was taken by a commit whose answer was lost.
    const mine = standing?.processor === processor ? standing.fence : 0;
    when.push({ key: holdKey(id), target: 'create', is: '=', to: mine });
    when.push({ key: endpointKey(id), target: 'version', is: '>', to: 0 });
    if (mine === 0) apply.push({ type: 'put', key: holdKey(id), value, lease: lease.id });
    apply.push({ type: 'read', key: stateKey(id) });
  }
  const outcome = await engine.commit({ when, apply }, { alone: true });
  if (outcome.succeeded) return takenIn(outcome, wanted, processor);
  if (wanted.length === 1) return [];
  const half = Math.ceil(wanted.length / 2);
  const first = await take(taking, wanted.slice(0, half));
  return [...first, ...(await take(taking, wanted.slice(half)))];
}

function takenIn(
  { revision, results }: Outcome,
  wanted: readonly EndpointView[],
  processor: string,
): Taker[] {
  const readings = results.flatMap((one) => (one.type === 'read' ? [one.reading] : []));
  return wanted.map((endpoint, at) => {
    const entry = readings[at]?.entries[0];
    const before =
      entry === undefined
        ? null
        : { state: decodeRecord<StateRecord>(entry.value), modRevision: entry.modRevision };
    const standing = endpoint.hold?.processor === processor ? endpoint.hold.fence : undefined;
    return { endpoint, fence: standing ?? revision, before };
  });
}

async function own({ engine }: Taking, owned: readonly Taken[]): Promise<readonly Taken[]> {
  const when = owned.map(({ endpoint, fence }): Check => {
    return { key: holdKey(endpoint.id), target: 'create', is: '=', to: fence };
  });
  const apply = owned.map(({ endpoint, state }): Operation => {
    return { type: 'put', key: stateKey(endpoint.id), value: encodeRecord(state) };
  });
  const { succeeded } = await engine.commit({ when, apply });
  // A hold that vanished went with the lease, and the tenure with it.
  return succeeded ? owned : [];
}

/** Where the stream stands: what the one before wrote down of it, or its checkpoint, when that was written later and did not name it. */
export function stateOf(
  registry: Pick<Registry, 'checkpoints'>,
  endpoint: Pick<EndpointView, 'id' | 'begins'>,
  before: Taker['before'],
): StateRecord {
  if (before === null) return fresh(endpoint);
  const { state, modRevision } = before;
  const checkpoint =
    state.processor === null ? undefined : registry.checkpoints.get(state.processor);
  const covered =
    checkpoint !== undefined &&
    checkpoint.modRevision > modRevision &&
    checkpoint.revision > state.cursor.revision &&
    !checkpoint.busy.includes(shortOf(endpoint.id));
  if (!covered) return state;
  const cursor = { revision: checkpoint.revision, index: wholeRevision, resync: null };
  return { ...state, cursor };
}

function fresh({ begins }: Pick<EndpointView, 'begins'>): StateRecord {
  return {
    processor: null,
    cursor: { revision: begins, index: wholeRevision, resync: null },
    era: begins,
    last: '',
    delivered: 0,
    at: 0,
    perSecond: 0,
    failing: null,
    late: null,
  };
}
