import type { ByteString, Check, Entry, Operation, Outcome } from '../core/engine.js';
import type { JoinedSignal } from '../core/joined-signal.js';
import type { Explanation, HoldProof } from '../core/host.js';
import { WaymarkError } from '../core/errors.js';
import { validateRevision } from '../core/validate.js';
import { decodeValue, encodeValue } from './codecs.js';
import { dumpNamespace, loadNamespace } from './dump.js';
import { below, dataKey } from './layout.js';
import { HostElection } from './election.js';
import type { Election } from './election-types.js';
import { HostBarrier, HostDoubleBarrier } from './barrier.js';
import type { Barrier, BarrierOptions, DoubleBarrier } from './barrier-types.js';
import { HostCounter, HostLatch } from './counter.js';
import type { Counter, Latch } from './counter-types.js';
import { HostLog } from './log.js';
import type { Log } from './log-types.js';
import { HostSemaphore } from './semaphore.js';
import type { Semaphore, SemaphoreOptions } from './semaphore-types.js';
import type { NameList } from './name-lists.js';
import { HostNames } from './names.js';
import type { Names, NamesOptions } from './names-types.js';
import { listChildren, listLeaves, listTree } from './listing.js';
import { HostMembers } from './members.js';
import type { GroupOptions, Members } from './member-types.js';
import { forget } from '../recipes/once.js';
import { type OnceJob, runOnce } from './once.js';
import { explainOnce, listOnce } from './once-look.js';
import type {
  OnceCall,
  OnceExplanation,
  OnceState,
  Schedule,
  ScheduleCall,
  ScheduleState,
  When,
} from './once-types.js';
import { ancestorsOf, bytesToPath, pathToBytes, resolvePath } from './paths.js';
import { HostSchedule, type Job } from './schedule.js';
import { listSchedules } from './schedule-look.js';
import type { HostSpace } from './space.js';
import { toTxn, toTxnResults } from './txn.js';
import type * as types from './types.js';
import { type EventGroup, watchGroups, watchPath } from './watch.js';
import { Crowds } from './crowd.js';
import { noBatch, type WatchParts } from './watch-events.js';
import { conflict, deletedBy, leaseOf, proof } from './write-call.js';

const none: readonly HoldProof[] = [];

/** What recipes without values need of a namespace. */
export type NamespacePlace = Pick<HostNamespace<unknown>, 'space' | 'host' | 'name'>;

/** A namespace, or a view of a subtree of it, over the space's host. */
export class HostNamespace<T> implements types.Namespace<T> {
  readonly name: string;
  readonly path: string;
  readonly space: HostSpace;
  readonly codec: types.Codec<T>;
  readonly #guard: boolean;
  readonly #last = noBatch<T>();
  readonly #crowds: Crowds<T>;

  constructor(space: HostSpace, name: string, path: string, codec: types.Codec<T>, guard: boolean) {
    this.space = space;
    this.name = name;
    this.path = path;
    this.codec = codec;
    this.#guard = guard;
    this.#crowds = new Crowds(space.clock);
  }

  at(path: string): types.Namespace<T> {
    return new HostNamespace(this.space, this.name, this.resolve(path), this.codec, this.#guard);
  }

  as<U>(codec: types.Codec<U>): types.Namespace<U> {
    return new HostNamespace(this.space, this.name, this.path, codec, this.#guard);
  }

  /** Not async, as the hottest of all: what is refused at once rejects, and the host's promise is followed without another wait. */
  get(path: string, call: types.ReadCall = {}): Promise<types.PathEntry<T> | null> {
    try {
      const canonical = this.resolve(path);
      const key = dataKey(pathToBytes(canonical));
      const { at, stale, signal } = call;
      return this.host.read(this.name, { key, at }, { stale, signal }).then(({ entries }) => {
        const [entry] = entries;
        return entry === undefined ? null : this.toEntry(entry, canonical);
      });
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async put(
    path: string,
    value: T,
    call: types.PutCall = {},
  ): Promise<{ readonly revision: number }> {
    const canonical = this.resolve(path);
    const key = dataKey(pathToBytes(canonical));
    const encoded = encodeValue(this.codec, canonical, value);
    const operation: Operation = { type: 'put', key, value: encoded, lease: leaseOf(call.lease) };
    const outcome = await this.#write(canonical, false, [operation], call);
    if (!outcome.succeeded) throw conflict(canonical, call, outcome);
    return { revision: outcome.revision };
  }

  async delete(
    path: string,
    call: types.WriteCall = {},
  ): Promise<{ deleted: number; revision: number }> {
    const canonical = this.resolve(path);
    const operation: Operation = { type: 'delete', key: dataKey(pathToBytes(canonical)) };
    const outcome = await this.#write(canonical, false, [operation], call);
    if (!outcome.succeeded) throw conflict(canonical, call, outcome);
    return deletedBy(outcome);
  }

  async deleteTree(
    path: string,
    call: types.WriteCall = {},
  ): Promise<{ deleted: number; revision: number }> {
    const canonical = this.resolve(path);
    const bytes = pathToBytes(canonical);
    const own: Operation = { type: 'delete', key: dataKey(bytes) };
    const rest: Operation = { type: 'delete', ...below('d', bytes) };
    const outcome = await this.#write(canonical, true, [own, rest], call);
    if (!outcome.succeeded) throw conflict(canonical, call, outcome);
    return deletedBy(outcome);
  }

  async tree(path: string, call: types.ListCall = {}): Promise<types.Page<types.PathEntry<T>>> {
    return await listTree(this, this.resolve(path), call);
  }

  async children(path: string, call: types.ListCall = {}): Promise<types.Page<string>> {
    return await listChildren(this, this.resolve(path), call);
  }

  async leaves(path: string, call: types.ListCall = {}): Promise<types.Page<string>> {
    return await listLeaves(this, this.resolve(path), call);
  }

  async nearest(path: string, call: types.ReadCall = {}): Promise<types.PathEntry<T> | null> {
    const bytes = this.bytes(path);
    const { at, signal } = call;
    const chain = [...ancestorsOf(bytes), bytes];
    const apply = chain.map((one): Operation => ({ type: 'read', key: dataKey(one), at }));
    const { results } = await this.host.commit(this.name, { apply }, { signal });
    const found = results.flatMap((r) => (r.type === 'read' ? r.reading.entries : [])).at(-1);
    return found === undefined ? null : this.toEntry(found);
  }

  async txn(call: types.TxnCall): Promise<types.TxnOutcome<T>> {
    const { txn, written } = toTxn(this, call);
    const holds = this.#guard ? written.flatMap(({ path, tree }) => this.#holds(path, tree)) : [];
    const options = {
      signal: call.signal,
      guard: this.#guard,
      holds: [...new Set(holds)],
      under: call.hold,
    };
    const outcome = await this.host.commit(this.name, txn, options);
    return toTxnResults(this, call, outcome);
  }

  watch(path: string, call: types.WatchCall = {}): types.Watch<T> {
    return watchPath(this.#watchParts(path, call));
  }

  /** The same, whole revisions at a time, with where to resume: for faces that hand the place on to their clients. */
  watchGroups(path: string, call: types.WatchCall = {}): AsyncIterableIterator<EventGroup<T>> {
    return watchGroups(this.#watchParts(path, call));
  }

  async lock(path: string, call: types.LockCall = {}): Promise<types.Lock> {
    const lock = await this.space.acquire(this.name, this.resolve(path), call);
    if (lock !== null) return lock;
    throw new WaymarkError('timeout', `${this.resolve(path)} is not free now (waitMs: 0)`, {
      path,
    });
  }

  async tryLock(path: string, call: types.LockCall = {}): Promise<types.Lock | null> {
    return await this.space.acquire(this.name, this.resolve(path), { ...call, waitMs: 0 });
  }

  async forceUnlock(
    path: string,
    call: types.Call & { readonly reason: string },
  ): Promise<{ ended: number }> {
    const { reason, signal } = call;
    return {
      ended: await this.host.forceUnlock(this.name, this.resolve(path), reason, { signal }),
    };
  }

  async explain(
    path: string,
    call: types.Call & { readonly tree?: boolean; readonly mode?: types.LockMode } = {},
  ): Promise<Explanation> {
    const { tree = false, mode = 'exclusive', signal } = call;
    return await this.host.explain(this.name, { path: this.resolve(path), tree, mode }, { signal });
  }

  election(path: string): Election<T> {
    return new HostElection<T>(this, this.resolve(path));
  }

  members<M = unknown>(group: string, options: GroupOptions = {}): Members<M> {
    return new HostMembers<M>(this as HostNamespace<unknown>, this.resolve(group), options);
  }

  async once<R>(path: string, job: OnceJob<R>, call: OnceCall = {}): Promise<R> {
    return await runOnce(this as HostNamespace<unknown>, this.resolve(path), job, call);
  }

  async forgetOnce(path: string, call: types.Call = {}): Promise<boolean> {
    return await this.host.run(forget, this.name, { path: this.resolve(path) }, call);
  }

  async explainOnce(path: string, call: types.Call = {}): Promise<OnceExplanation> {
    return await explainOnce(this, this.resolve(path), call);
  }

  async onceStates(path: string, call: types.ListCall = {}): Promise<types.Page<OnceState>> {
    return await listOnce(this, this.resolve(path), call);
  }

  async schedules(path: string, call: types.ListCall = {}): Promise<types.Page<ScheduleState>> {
    return await listSchedules(this, this.resolve(path), call);
  }

  schedule(path: string, when: When, job: Job, call: ScheduleCall = {}): Schedule {
    const canonical = this.resolve(path);
    return new HostSchedule(this as HostNamespace<unknown>, canonical, when, { job, call });
  }

  semaphore(path: string, options: SemaphoreOptions = {}): Semaphore {
    return new HostSemaphore(this as HostNamespace<unknown>, this.resolve(path), options);
  }

  log(path: string): Log<T> {
    return new HostLog<T>(this, this.resolve(path));
  }

  counter(path: string): Counter {
    return new HostCounter(this, this.resolve(path));
  }

  latch(path: string): Latch {
    return new HostLatch(this, this.resolve(path));
  }

  barrier(path: string, options: BarrierOptions): Barrier {
    return new HostBarrier(this, this.resolve(path), options);
  }

  doubleBarrier(path: string, options: BarrierOptions): DoubleBarrier {
    return new HostDoubleBarrier(this, this.resolve(path), options);
  }

  names(path: string, list?: NameList, options?: NamesOptions): Names {
    return new HostNames(this.space, this.name, this.resolve(path), list, options);
  }

  async prune(
    path: string,
    call: types.Call & { readonly olderThanMs: number },
  ): Promise<{ readonly pruned: readonly string[] }> {
    const { olderThanMs, signal } = call;
    return {
      pruned: await this.host.prune(this.name, this.resolve(path), olderThanMs, { signal }),
    };
  }

  async dump(call: types.Call = {}): Promise<types.NamespaceDump> {
    return await dumpNamespace(this, call);
  }

  async load(
    dump: types.NamespaceDump,
    call: types.Call & { readonly replace?: boolean } = {},
  ): Promise<{ readonly revision: number }> {
    return await loadNamespace(this, dump, call);
  }

  get host(): HostSpace['host'] {
    this.space.checkOpen();
    return this.space.host;
  }

  resolve(path: string): string {
    return resolvePath(this.path, path);
  }

  bytes(path: string): ByteString {
    return pathToBytes(this.resolve(path));
  }

  toEntry(entry: Entry, path = bytesToPath(entry.key.slice(1))): types.PathEntry<T> {
    return {
      path,
      value: decodeValue(this.codec, path, entry.value),
      revision: entry.modRevision,
      createRevision: entry.createRevision,
      version: entry.version,
      lease: entry.lease,
    };
  }

  /** Not async, as every write goes this way: its caller awaits the host itself. */
  #write(
    path: string,
    tree: boolean,
    apply: readonly Operation[],
    call: types.WriteCall,
  ): Promise<Outcome> {
    const { ifRevision, hold, signal } = call;
    const holds = this.#guard ? this.#holds(path, tree) : none;
    const options = { signal, guard: this.#guard, holds, under: hold && proof(hold) };
    if (ifRevision === undefined) return this.host.commit(this.name, { apply }, options);
    validateRevision('ifRevision', ifRevision);
    const key = dataKey(pathToBytes(path));
    const when: Check[] = [{ key, target: 'mod', is: '=', to: ifRevision }];
    return this.host.commit(this.name, { when, apply }, options);
  }

  readonly #join = (signal?: AbortSignal): JoinedSignal => this.space.join(signal);

  #watchParts(path: string, call: types.WatchCall): WatchParts<T> {
    const { host, name: namespace } = this;
    const { clock } = this.space;
    const toEntry = (entry: Entry): types.PathEntry<T> => this.toEntry(entry);
    const canonical = this.resolve(path);
    const { after, identity, tree = false, locks = true, previous = false } = call;
    const own = (after ?? identity ?? call.signal) !== undefined;
    const key = JSON.stringify([canonical, tree, locks, previous]);
    return {
      host,
      clock,
      namespace,
      path: canonical,
      call,
      join: this.#join,
      toEntry,
      last: this.#last,
      crowds: own ? null : { of: this.#crowds, key },
    };
  }

  #holds(path: string, tree: boolean): readonly HoldProof[] {
    const locks = this.space.ownLocks(this.name).on(path, tree);
    return locks.length === 0 ? none : locks.map(proof);
  }
}
