import type { Clock } from '../core/clock.js';
import type { Engine } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import { pause } from '../core/pause.js';
import type { Peers } from '../core/recipe-call.js';
import type {
  StashBegun,
  StashCall,
  StashChange,
  StashNodeFigures,
  StashNodeRepaired,
  StashRepaired,
  StashSafeAsk,
  StashSafeToStop,
  StashStatus,
} from '../core/stash.js';
import { askFigures, type NodeTold } from './figures-calls.js';
import type { Known } from './known.js';
import { moveStatus } from './move-status.js';
import { beginMove, cancelMove, pauseMove, removeLost } from './moves.js';
import { RemotePeer } from './peer-calls.js';
import type { PlacedNode } from './placement.js';
import { Deadline } from './run.js';
import { safeToStop } from './safe-to-stop.js';
import { statusOf } from './status.js';
import { forgetNode, type SeenView } from './view.js';
import type { ViewWatch } from './view-watch.js';

export interface OperatorParts {
  readonly engine: Engine;
  readonly views: ViewWatch;
  readonly clock: Clock;
  readonly peers: Peers;
}

/** A node that has not told by then is left out. */
const toldMsMax = 2_000;
const lookMs = 200;

/** What whoever runs a stash asks of it: how it is, that nodes go, that replicas be compared. Any process that has the space open can. */
export class StashOperator {
  readonly #parts: OperatorParts;

  constructor(parts: OperatorParts) {
    this.#parts = parts;
  }

  async status(call: StashCall): Promise<StashStatus> {
    const { clock, views } = this.#parts;
    const deadline = new Deadline(clock, call);
    const known = await deadline.race(views.known({ signal: call.signal }), late);
    const ids = [...known.nodes.keys()].filter((id) => known.isAlive(id));
    const figures = new Map<string, StashNodeFigures>();
    await Promise.all(
      ids.map(async (id) => {
        const told = await this.#told(id, known, { deadline, repair: false });
        if (told !== null) figures.set(id, told.figures);
      }),
    );
    return { ...statusOf(known, figures), move: moveStatus(known, clock.wallNow()) };
  }

  async change(ask: StashChange): Promise<StashBegun> {
    const deadline = new Deadline(this.#parts.clock, ask);
    const { epoch } = await deadline.race(this.#change(ask), () => {
      const why =
        'the space did not answer in time: the status of the stash tells what became of it';
      return new WaymarkError('uncertain', why);
    });
    return { epoch };
  }

  async safeToStop({ node, ...call }: StashSafeAsk): Promise<StashSafeToStop> {
    const { clock, peers, views } = this.#parts;
    const { signal } = call;
    const deadline = new Deadline(clock, call);
    const known = await deadline.race(views.known({ signal }), late);
    const peerOf = (id: string) => new RemotePeer(peers, known.addressOf(id) ?? '');
    return await deadline.race(safeToStop(node, known, peerOf, { signal }), late);
  }

  /** Every node that is alive looks at all others now, as it does by itself from time to time. */
  async repair(call: StashCall): Promise<StashRepaired> {
    const { clock, views } = this.#parts;
    const deadline = new Deadline(clock, call);
    const known = await deadline.race(views.known({ signal: call.signal }), late);
    const ids = (known.view?.view.nodes ?? []).map(({ id }) => id);
    return { nodes: await Promise.all(ids.map((id) => this.#repaired(id, known, deadline))) };
  }

  async #change({
    kind,
    nodes = [],
    acceptLoss = false,
    signal,
  }: StashChange): Promise<StashBegun> {
    const { engine, views } = this.#parts;
    const options = { signal };
    if (kind === 'cancel') return epochOf(await cancelMove(engine, options));
    if (kind === 'pause' || kind === 'resume') {
      return epochOf(await pauseMove(engine, kind === 'pause', options));
    }
    const known = await views.known(options);
    const { kept, idle } = checked({ kind, nodes, acceptLoss }, known);
    for (const id of idle) await forgetNode(engine, id, options);
    if (kept.length === 0) return { epoch: known.epoch };
    if (acceptLoss) return epochOf(await removeLost(engine, kept, known, options));
    const without = (some: readonly PlacedNode[]) => some.filter(({ id }) => !kept.includes(id));
    return epochOf(await beginMove(engine, without, options));
  }

  async #repaired(id: string, known: Known, deadline: Deadline): Promise<StashNodeRepaired> {
    const { clock } = this.#parts;
    const { signal } = deadline;
    const none = { id, done: false, compared: 0, differing: 0, fetched: 0, pushed: 0 };
    const before = await this.#told(id, known, { deadline, repair: true });
    if (before === null) return none;
    for (let now: NodeTold | null = before; ;) {
      const done = now !== null && now.rounds >= before.nextRound;
      if (done || deadline.leftMs === 0)
        return now === null ? none : repairedOf(id, before, now, done);
      await pause(clock, lookMs, signal);
      now = await this.#told(id, known, { deadline, repair: false });
    }
  }

  /** @returns null from one that does not answer */
  async #told(
    id: string,
    known: Known,
    { deadline, repair }: { readonly deadline: Deadline; readonly repair: boolean },
  ): Promise<NodeTold | null> {
    const { peers } = this.#parts;
    const { signal } = deadline;
    const withinMs = Math.min(toldMsMax, Math.max(1, deadline.leftMs));
    try {
      return await askFigures(peers, known.addressOf(id) ?? '', { repair }, { signal, withinMs });
    } catch {
      signal?.throwIfAborted();
      return null;
    }
  }
}

function repairedOf(id: string, before: NodeTold, now: NodeTold, done: boolean): StashNodeRepaired {
  const more = (what: 'compared' | 'differing' | 'fetched' | 'pushed'): number =>
    now.figures[what] - before.figures[what];
  const [compared, differing] = [more('compared'), more('differing')];
  return { id, done, compared, differing, fetched: more('fetched'), pushed: more('pushed') };
}

/**
 * Who of the nodes that are to go keeps data, and who is to be forgotten alone.
 *
 * @throws {WaymarkError} before anything is done: `invalid`, `not_found`, or `conflict` for one that may not go so
 */
function checked(
  {
    kind,
    nodes,
    acceptLoss,
  }: { kind: 'drain' | 'remove'; nodes: readonly string[]; acceptLoss: boolean },
  known: Known,
): { readonly kept: readonly string[]; readonly idle: readonly string[] } {
  if (nodes.length === 0) throw new WaymarkError('invalid', `tell which nodes to ${kind}`);
  if (acceptLoss && kind === 'drain') {
    throw new WaymarkError('invalid', 'nothing is lost by a drain: acceptLoss is for remove');
  }
  const { nodes: keeping = [], also } = known.view?.view ?? {};
  const isIn = (some: readonly PlacedNode[] = [], node: string): boolean =>
    some.some(({ id }) => id === node);
  const [kept, idle]: [string[], string[]] = [[], []];
  for (const node of new Set(nodes)) {
    const isAlive = known.isAlive(node);
    const isAwaited = !isIn(keeping, node) && isIn(also?.nodes, node);
    if (isIn(keeping, node) || (acceptLoss && isAwaited)) kept.push(node);
    else if (kind === 'remove' && known.nodes.has(node) && !isAlive) idle.push(node);
    else throw new WaymarkError('not_found', `node '${node}' keeps nothing of the stash`);
    if (kind === 'drain' && !isAlive) throw conflict(`node ${node} is away: remove it`);
    if (kind === 'remove' && isAlive) throw conflict(`node ${node} is alive: drain it`);
    if (isAwaited && !acceptLoss) {
      throw conflict(`node ${node} is to be given data: cancel the move`);
    }
  }
  return { kept, idle };
}

function epochOf({ view }: SeenView): StashBegun {
  return { epoch: view.epoch };
}

function conflict(message: string): WaymarkError {
  return new WaymarkError('conflict', message);
}

function late(): WaymarkError {
  return new WaymarkError('unavailable', 'the stash did not tell in time');
}
