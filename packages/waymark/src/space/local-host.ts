import { systemClock, systemRandom } from '../core/system-clock.js';
import type { Clock, Random } from '../core/clock.js';
import type {
  Batch,
  CallOptions,
  Engine,
  EngineStatus,
  GrantOptions,
  KeyRange,
  Lease,
  LeaseId,
  LeaseState,
  Outcome,
  PutOperation,
  Query,
  Reading,
  ReadOptions,
  Revision,
  Txn,
  WatchOptions,
} from '../core/engine.js';
import type {
  AcquireRequest,
  ConvertRequest,
  Explanation,
  ExplainRequest,
  GuardedCommitOptions,
  HeldKeys,
  HoldEnd,
  Host,
} from '../core/host.js';
import type { RecipeCall, RecipeGround } from '../core/recipe-call.js';
import type { StashDesk } from '../core/stash.js';
import type { WatcherDesk } from '../core/watchers.js';
import { bytesToText, textToBytes } from '../core/bytes.js';
import { within } from '../wrap/within.js';
import { explain } from '../recipes/lock-explain.js';
import { acquire } from '../recipes/lock.js';
import { convert } from '../recipes/lock-convert.js';
import { forceUnlock } from '../recipes/lock-force.js';
import { LockPlans } from '../recipes/lock-plan.js';
import { type LockGround, release } from '../recipes/lock-writes.js';
import { lockWords } from '../recipes/wording.js';
import { commitGuarded, GuardMemory } from './guarded-commit.js';
import { auditRange, namespacePrefix } from './layout.js';
import { type AuditRecord, MarkWatch } from './mark-watch.js';
import { checkNamespaceName, resolvePath } from './paths.js';
import { reachListener } from './listener-peers.js';
import { Ground } from './ground.js';
import { HostPeers, type Reach } from './peers.js';
import { Pruner } from './prune.js';
import { LazyStash, type StashReach } from './stash-desk.js';

export interface LocalHostOptions {
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
  /** Where other hosts over the same engine reach this one. */
  readonly address?: (() => string | undefined) | undefined;
  /** How this one reaches them. */
  readonly reach?: Reach | undefined;
  /** The registry of watches, where they are delivered. */
  readonly watchers?: WatcherDesk | undefined;
  /** What hosts of one process over the same engine know by that they share it. Default: the engine; for a wrapper of one, what it wraps. */
  readonly root?: object | undefined;
  /** Who coordinates the stash; default: this host, which reaches its nodes so. */
  readonly stash?: StashDesk | StashReach | undefined;
}

/** One namespace of the host: its part of the engine, and what is remembered beside it. */
interface Room {
  readonly engine: Engine;
  readonly locks: LockGround;
  readonly guard: GuardMemory;
  readonly marks: MarkWatch;
  readonly ground: RecipeGround;
}

/**
 * Runs the write guard and the recipes over an engine in this process: for an embedded space, and in a server for its clients.
 * Disposing it ends its watches and leaves the engine open.
 */
export function createLocalHost(engine: Engine, options: LocalHostOptions = {}): Host {
  return new LocalHost(engine, options);
}

class LocalHost implements Host {
  readonly #engine: Engine;
  readonly #root: object;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #rooms = new Map<string, Room>();
  readonly #pruner: Pruner;
  readonly #peers: HostPeers;
  readonly #watchers: WatcherDesk | undefined;
  readonly #stash: StashDesk;
  readonly #ownStash: LazyStash | null;

  constructor(engine: Engine, options: LocalHostOptions) {
    this.#engine = engine;
    this.#root = options.root ?? engine;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? systemRandom;
    this.#watchers = options.watchers;
    const { stash = {} } = options;
    const given = 'read' in stash;
    const parts = { engine, clock: this.#clock, random: this.#random };
    this.#ownStash = given ? null : new LazyStash(parts, stash);
    this.#stash = this.#ownStash ?? (stash as StashDesk);
    this.#pruner = new Pruner(engine, this.#clock);
    this.#peers = new HostPeers(
      this.#clock,
      options.address,
      reachListener(this.#clock, this.#random, undefined, options.reach),
    );
  }

  read(namespace: string, query: Query, options?: ReadOptions): Promise<Reading> {
    return this.#room(namespace).engine.read(query, options);
  }

  commit(namespace: string, txn: Txn, options: GuardedCommitOptions = {}): Promise<Outcome> {
    const { engine, guard } = this.#room(namespace);
    return commitGuarded(engine, guard, txn, options);
  }

  watch(
    namespace: string,
    ranges: readonly KeyRange[],
    options?: WatchOptions,
  ): AsyncIterable<Batch> {
    return this.#room(namespace).engine.watch(ranges, options);
  }

  grant(ttlMs: number, options?: GrantOptions): Promise<Lease> {
    return this.#engine.grant(ttlMs, options);
  }

  renew(id: LeaseId, options?: CallOptions): Promise<Lease> {
    return this.#engine.renew(id, options);
  }

  revoke(id: LeaseId, options?: CallOptions): Promise<{ readonly revision: Revision }> {
    return this.#engine.revoke(id, options);
  }

  async lease(id: LeaseId, options?: CallOptions): Promise<LeaseState | null> {
    return await this.#engine.lease(id, options);
  }

  acquire(
    namespace: string,
    request: AcquireRequest,
    options?: CallOptions,
  ): Promise<number | null> {
    return acquire(this.#room(namespace).locks, request, options);
  }

  release(namespace: string, hold: HeldKeys): Promise<boolean> {
    return release(this.#room(namespace).locks, hold);
  }

  async convert(
    namespace: string,
    hold: HeldKeys,
    to: ConvertRequest,
    options?: CallOptions,
  ): Promise<number> {
    return await convert(this.#room(namespace).locks, hold, to, options);
  }

  async forceUnlock(
    namespace: string,
    path: string,
    reason: string,
    options?: CallOptions,
  ): Promise<number> {
    const canonical = resolvePath('/', path);
    const record = (): PutOperation =>
      this.#audit({ act: 'force-unlock', path: canonical, reason });
    return await forceUnlock(this.#room(namespace).engine, canonical, record, options);
  }

  async explain(namespace: string, request: ExplainRequest): Promise<Explanation> {
    return await explain(this.#room(namespace).locks, {
      ...request,
      path: resolvePath('/', request.path),
    });
  }

  watchHold(namespace: string, hold: HeldKeys, lost: (end: HoldEnd) => void): () => void {
    return this.#room(namespace).marks.listen(hold, lost);
  }

  async run<Args, Result>(
    call: RecipeCall<Args, Result>,
    namespace: string,
    args: Args,
    options?: CallOptions,
  ): Promise<Result> {
    return await call.run(this.#room(namespace).ground, args, options);
  }

  /** Skips from one namespace to the next, so it costs the namespaces and not their keys. */
  async namespaces(options?: CallOptions): Promise<readonly string[]> {
    const names: string[] = [];
    for (let key = 'n/'; ;) {
      const query = { key, end: 'n0', limit: 1, keysOnly: true, uncounted: true };
      const [entry] = (await this.#engine.read(query, options)).entries;
      if (entry === undefined) return names;
      const name = entry.key.slice(2, entry.key.indexOf('/', 2));
      names.push(bytesToText(name));
      key = `n/${name}0`;
    }
  }

  /** Watches and holds learn of it from the audit record, which then goes too: the namespace leaves nothing. */
  async removeNamespace(name: string, options?: CallOptions): Promise<void> {
    const { engine } = this.#room(name);
    const record = this.#audit({
      act: 'remove-namespace',
      path: '/',
      reason: `namespace ${name} was removed`,
    });
    const { key: from, end: to } = auditRange;
    const others = [{ key: '', end: from } as const, { key: to, end: '' } as const];
    const facets = others.map((range) => ({ type: 'delete', ...range }) as const);
    await engine.commit({ apply: [...facets, record] }, options);
    await engine.commit({ apply: [{ type: 'delete', key: '', end: '' }] }, options);
  }

  async prune(
    namespace: string,
    path: string,
    olderThanMs: number,
    options?: CallOptions,
  ): Promise<readonly string[]> {
    const { engine } = this.#room(namespace);
    return await this.#pruner.prune(engine, resolvePath('/', path), olderThanMs, options);
  }

  status(options?: CallOptions): Promise<EngineStatus> {
    return this.#engine.status(options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#pruner.close();
    await this.#peers.close();
    await this.#ownStash?.close();
    await Promise.all([...this.#rooms.values()].map((room) => room.marks.close()));
  }

  #room(namespace: string): Room {
    const known = this.#rooms.get(namespace);
    if (known !== undefined) return known;
    checkNamespaceName(namespace);
    const prefix = namespacePrefix(namespace);
    const engine = within(this.#engine, prefix);
    const locks = {
      engine: this.#engine,
      plans: new LockPlans(prefix),
      clock: this.#clock,
      words: lockWords,
      namespace: engine,
    };
    const shared = { clock: this.#clock, random: this.#random, peers: this.#peers };
    const beneath = { engine: this.#engine, prefix };
    const ground = new Ground({
      engine,
      namespace,
      root: this.#root,
      beneath,
      watchers: this.#watchers,
      stash: this.#stash,
      ...shared,
    });
    const room = {
      engine,
      locks,
      guard: new GuardMemory(),
      marks: new MarkWatch(engine, this.#clock),
      ground,
    };
    this.#rooms.set(namespace, room);
    return room;
  }

  #audit(act: Omit<AuditRecord, 'at'>): PutOperation {
    const wall = this.#clock.wallNow();
    const record: AuditRecord = { ...act, at: new Date(wall).toISOString() };
    const key = `w/audit/${String(wall).padStart(15, '0')}-${this.#random.id()}`;
    return { type: 'put', key, value: textToBytes(JSON.stringify(record)) };
  }
}
