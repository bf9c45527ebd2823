import type { Clock, Random } from '../core/clock.js';
import type { Engine } from '../core/engine.js';
import { textToBytes } from '../core/bytes.js';
import { WaymarkError } from '../core/errors.js';
import type { Peers } from '../core/recipe-call.js';
import type {
  StashAcknowledged,
  StashBegun,
  StashCall,
  StashChange,
  StashDesk,
  StashPage,
  StashRead,
  StashRepaired,
  StashSafeAsk,
  StashSafeToStop,
  StashScan,
  StashStatus,
  StashWrite,
} from '../core/stash.js';
import { Batch, checkIndexName } from './batch.js';
import { KeyHash } from './hash.js';
import { HybridClock, skewMsMax, stampsPerMs } from './hybrid-clock.js';
import { indexesOf } from './indexes-run.js';
import type { StashNode } from './node.js';
import { RemoteNode } from './node-calls.js';
import { type NodeHealth, NodeLink } from './node-link.js';
import { isCertain, isStale } from './outcome.js';
import { StashOperator } from './operator.js';
import { type PlacedNode, Placement } from './placement.js';
import { ReadRun } from './read-run.js';
import { noNodes, Routes } from './routes.js';
import { Deadline } from './run.js';
import { parsePlace, scanPage } from './scan-run.js';
import { checkWritten, stampBatch } from './stamping.js';
import type { Known } from './known.js';
import { ViewWatch } from './view-watch.js';
import { Overtaken, WriteRun } from './write-run.js';

/** What is asked of the stash goes to the nodes from here: any process that has the space open can have one, and none knows of another. */

export interface CoordinatorOptions {
  /** The root of the space, where the view stands. */
  readonly engine: Engine;
  readonly clock: Clock;
  readonly random: Random;
  /** How nodes are reached. */
  readonly peers: Peers;
  /** Replicas of the same zone are asked first. Default: none is nearer. */
  readonly zone?: string | undefined;
  /** A node of this process, which is called as it is. */
  readonly local?: { readonly id: string; readonly node: StashNode } | undefined;
  /** Of the node of this process, which keeps it over restarts. Default: one of its own. */
  readonly stamps?: HybridClock | undefined;
}

/** Hashes of indexes that are kept at hand. */
const hashesMax = 1_000;
const nothing = new Uint8Array(0);

export class Coordinator implements StashDesk {
  readonly #options: CoordinatorOptions;
  readonly #clock: Clock;
  readonly #views: ViewWatch;
  readonly #operator: StashOperator;
  readonly #stamps: HybridClock;
  #writer: number;
  readonly #health = new Map<string, NodeHealth>();
  readonly #hashes = new Map<string, KeyHash>();
  #also: { readonly epoch: number; readonly placement: Placement } | null = null;
  #made: { readonly of: Known; readonly changes: number; readonly routes: Routes } | null = null;

  constructor(options: CoordinatorOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#views = new ViewWatch(options.engine, options.clock);
    this.#operator = new StashOperator({ ...options, views: this.#views });
    this.#stamps = options.stamps ?? new HybridClock(options.clock);
    this.#writer = this.#drawWriter();
  }

  async read({ index, keys, level, keysOnly, ...call }: StashRead): Promise<Uint8Array> {
    const deadline = new Deadline(this.#clock, call);
    const ask = { index, keys, level, keysOnly };
    this.#hashOf(index);
    if (keys.length === 0) return nothing;
    return await this.#placed(deadline, (routes) => this.#readOnce(routes, deadline, ask));
  }

  #readOnce(
    routes: Routes,
    deadline: Deadline,
    { index, keys, level, keysOnly }: Omit<StashRead, keyof StashCall>,
  ): Promise<Uint8Array> {
    const batch = new Batch(keys).place(routes, this.#hashOf(index));
    const quorum = level === 'one' ? 1 : routes.readQuorum;
    const deadlineMs = deadline.leftMs;
    const clock = this.#clock;
    const parts = { routes, clock, index, batch, keysOnly, quorum, deadlineMs };
    return deadline.bound(new ReadRun(parts));
  }

  async write({ index, entries, more = false, ...call }: StashWrite): Promise<StashAcknowledged> {
    const hash = this.#hashOf(index);
    const deadline = new Deadline(this.#clock, call);
    const batch = new Batch(entries, checkWritten);
    // Before anything is waited for: writes that one caller sends one after the other keep that order.
    let tried = this.#stamp(batch.block, batch, true);
    if (batch.count === 0) return { replicas: (await this.#routes(deadline)).replicas, flushed: 0 };
    let run: WriteRun | null = null;
    let mayShow = false;
    for (let asked = batch; ;) {
      try {
        const done = await this.#placed(deadline, (routes) => {
          mayShow ||= mayBeWritten(run);
          asked.place(routes, hash);
          const { leftMs: deadlineMs } = deadline;
          run = new WriteRun({ routes, index, batch: asked, deadlineMs, more });
          return deadline.bound(run);
        });
        this.#stamps.saw(tried);
        return done;
      } catch (error) {
        mayShow ||= mayBeWritten(run);
        if (!(error instanceof Overtaken)) {
          this.#learn(run, tried);
          throw mayShow ? uncertain(error) : error;
        }
        // Nodes may still be reading what they were given.
        const block = Buffer.from(asked.block);
        tried = this.#overtake(block, asked, error.stamp);
        asked = new Batch(block, (cursor) => cursor.nextVersion());
      }
    }
  }

  async scan({ index, prefix, after, limit, keysOnly, ...call }: StashScan): Promise<StashPage> {
    const hash = this.#hashOf(index);
    const from = parsePlace(after);
    const deadline = new Deadline(this.#clock, call);
    return await this.#placed(deadline, (routes) => {
      const deadlineMs = deadline.leftMs;
      const read = (keys: Uint8Array): Promise<Uint8Array> =>
        this.#readOnce(routes, deadline, { index, keys, level: 'quorum', keysOnly: false });
      const parts = { routes, index, hash, prefix, from, limit, keysOnly, deadlineMs, read };
      return deadline.race(scanPage(parts), () => late(`a page of '${index}'`));
    });
  }

  async indexes(call: StashCall): Promise<readonly string[]> {
    const deadline = new Deadline(this.#clock, call);
    return await this.#placed(deadline, (routes) =>
      deadline.race(indexesOf(routes, deadline.leftMs), () => late('the list of indexes')),
    );
  }

  status(call: StashCall): Promise<StashStatus> {
    return this.#operator.status(call);
  }

  change(ask: StashChange): Promise<StashBegun> {
    return this.#operator.change(ask);
  }

  safeToStop(ask: StashSafeAsk): Promise<StashSafeToStop> {
    return this.#operator.safeToStop(ask);
  }

  repair(call: StashCall): Promise<StashRepaired> {
    return this.#operator.repair(call);
  }

  async close(): Promise<void> {
    await this.#views.close();
  }

  /** Does it by the view that is known, and again by a newer one where a node knows of that. */
  async #placed<T>(deadline: Deadline, ask: (routes: Routes) => Promise<T>): Promise<T> {
    for (let routes = await this.#routes(deadline); ;) {
      try {
        return await ask(routes);
      } catch (error) {
        if (!isStale(error) || deadline.leftMs === 0) throw error;
        const { epoch } = routes;
        const newer = this.#views.above(epoch, { signal: deadline.signal });
        routes = this.#routesOf(await deadline.race(newer, () => late('a newer view')));
      }
    }
  }

  async #routes(deadline: Deadline): Promise<Routes> {
    const { last } = this.#views;
    if (last !== null) return this.#routesOf(last);
    const known = this.#views.known({ signal: deadline.signal });
    return this.#routesOf(await deadline.race(known, () => late('the view of the stash')));
  }

  #routesOf(known: Known): Routes {
    const made = this.#made;
    if (made?.of === known && made.changes === known.changes) return made.routes;
    const seen = known.view;
    if (seen === null) throw noNodes();
    const { epoch, nodes, replicas, also } = seen.view;
    // Who keeps what is worked out once an epoch; who is near and alive changes more often.
    const standing = made?.routes.epoch === epoch ? made.routes.placement : undefined;
    const placement = standing ?? new Placement(nodes, replicas);
    const other = also === undefined ? null : this.#other(also.nodes, replicas, epoch);
    const only = other?.nodes.filter(({ id }) => !placement.nodes.some((one) => one.id === id));
    const links = [...placement.nodes, ...(only ?? [])].map(({ id, zone }) =>
      this.#link(known, id, zone),
    );
    const routes = new Routes(epoch, placement, links, other);
    this.#made = { of: known, changes: known.changes, routes };
    return routes;
  }

  /** The other placement of a move, worked out once an epoch. */
  #other(nodes: readonly PlacedNode[], replicas: number, epoch: number): Placement {
    if (this.#also?.epoch !== epoch) {
      this.#also = { epoch, placement: new Placement(nodes, replicas) };
    }
    return this.#also.placement;
  }

  #link(known: Known, id: string, zone: string): NodeLink {
    const { local, peers, zone: own } = this.#options;
    const here = local?.id === id;
    const node = here ? local.node : new RemoteNode(peers, known.addressOf(id) ?? '');
    const far = here ? 0 : zone === own ? 1 : 2;
    const health = this.#health.get(id) ?? { underWay: 0, heardAt: 0 };
    this.#health.set(id, health);
    const distance = far + (here || known.isAlive(id) ? 0 : 4);
    return new NodeLink(id, { node, distance, clock: this.#clock, health });
  }

  #hashOf(index: string): KeyHash {
    const known = this.#hashes.get(index);
    if (known !== undefined) return known;
    checkIndexName(index);
    if (this.#hashes.size >= hashesMax) this.#hashes.clear();
    const hash = new KeyHash(textToBytes(index));
    this.#hashes.set(index, hash);
    return hash;
  }

  /**
   * Stamps it above what a node holds. What is too far ahead of this clock is tried by this write alone, as another writer's: a node whose clock is wrong may be the only one that takes it, and a
   * clock that had taken it up would have every later write refused by the others.
   *
   * @returns the last stamp, to be taken up once enough nodes took it
   */
  #overtake(block: Buffer, batch: Batch, stamp: number): number {
    const aheadMs = stamp / stampsPerMs - this.#clock.wallNow();
    if (aheadMs <= skewMsMax || stamp <= this.#stamps.last) {
      this.#stamps.saw(stamp);
      return this.#stamp(block, batch, false);
    }
    return stampBatch(block, batch, { stamp: stamp + 1, writer: this.#drawWriter(), laterMs: 0 });
  }

  /** What was refused as too far ahead raises no later stamp. As another writer, since of one's own newer versions nodes do not tell. */
  #learn(run: WriteRun | null, stamp: number): void {
    if (run?.isAhead === true && this.#stamps.giveBack(stamp)) this.#writer = this.#drawWriter();
  }

  #drawWriter(): number {
    return Math.floor(this.#options.random.next() * 2 ** 32);
  }

  /** @param first  where an expiry stands it is a time to live yet. @returns the last stamp */
  #stamp(block: Buffer, batch: Batch, first: boolean): number {
    const stamp = this.#stamps.next(batch.count);
    const laterMs = first ? Math.floor(stamp / stampsPerMs) : 0;
    return stampBatch(block, batch, { stamp, writer: this.#writer, laterMs });
  }
}

function mayBeWritten(run: WriteRun | null): boolean {
  return run?.mayShow ?? false;
}

/** Of a write that was tried before, by a view that was over, or with a stamp that was overtaken: what the last try says certainly does not hold for it. */
function uncertain(error: unknown): unknown {
  if (!isCertain(error)) return error;
  const why = `${(error as Error).message}: an earlier try of this write may show later`;
  return new WaymarkError('uncertain', why, {}, error);
}

function late(what: string): WaymarkError {
  return new WaymarkError('unavailable', `${what} did not come in time`);
}
