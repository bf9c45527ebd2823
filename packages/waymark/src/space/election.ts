import type { Batch, Entry, KeyRange, Revision } from '../core/engine.js';
import type { Explanation } from '../core/host.js';
import { isWaymarkError, WaymarkError } from '../core/errors.js';
import { election, type ElectionKind, lostTerm } from '../recipes/election.js';
import { decodeParty } from '../recipes/lock-queue.js';
import { decodeValue, encodeValue } from './codecs.js';
import { Held, type HeldParts } from './held.js';
import type { Asker } from './holder.js';
import { leaderRange } from './layout.js';
import { leavable } from './leavable.js';
import type { HostNamespace } from './namespace.js';
import { pathToBytes } from './paths.js';
import type * as types from './election-types.js';
import type { Call } from './types.js';
import { watchKeyGone } from './watch-key.js';

export class HostElection<T> implements types.Election<T> {
  readonly path: string;
  readonly #namespace: HostNamespace<T>;
  readonly #kind: ElectionKind;
  #term: HeldTerm<T> | null = null;

  constructor(namespace: HostNamespace<T>, path: string, kind: ElectionKind = election) {
    this.#namespace = namespace;
    this.path = path;
    this.#kind = kind;
  }

  async campaign(call: types.CampaignCall<T> = {}): Promise<types.Term<T>> {
    const term = await this.#campaign(call);
    if (term !== null) return term;
    const { path } = this;
    throw new WaymarkError('timeout', `${path} is led by another now (waitMs: 0)`, { path });
  }

  async tryCampaign(call: types.CampaignCall<T> = {}): Promise<types.Term<T> | null> {
    return await this.#campaign({ ...call, waitMs: 0 });
  }

  isLeader(): boolean {
    return this.#term?.isHeld() === true;
  }

  async leader(call: types.LeaderCall = {}): Promise<types.Leader<T> | null> {
    return (await this.#look(call)).leader;
  }

  observe(call: Call = {}): AsyncIterableIterator<types.Leader<T> | null> {
    const { space } = this.#namespace;
    return leavable(
      () => space.join(call.signal),
      (ended) => this.#observe(ended),
    );
  }

  async explain(call: Call = {}): Promise<Explanation> {
    const { space, host, name } = this.#namespace;
    space.checkOpen();
    return await host.run(this.#kind.explain, name, { path: this.path }, call);
  }

  async *#observe(signal: AbortSignal): AsyncGenerator<types.Leader<T> | null, void> {
    const { host, name } = this.#namespace;
    for (;;) {
      const { leader, revision: after } = await this.#look({ signal });
      yield leader;
      try {
        const watch = host.watch(name, [this.#range], { after, signal });
        for await (const batch of watch) yield* this.#told(batch);
        return;
      } catch (error) {
        if (!isWaymarkError(error, 'compacted')) throw error;
      }
    }
  }

  async #look({
    at,
    signal,
  }: types.LeaderCall): Promise<{ leader: types.Leader<T> | null; revision: Revision }> {
    const { space, host, name } = this.#namespace;
    space.checkOpen();
    const query = { ...this.#range, limit: 1, at };
    const { entries, revision } = await host.read(name, query, { signal });
    const [mark] = entries;
    return { leader: mark === undefined ? null : this.#leader(mark), revision };
  }

  async #campaign(call: types.CampaignCall<T>): Promise<HeldTerm<T> | null> {
    const { space, host, name, codec } = this.#namespace;
    const { path } = this;
    space.checkOpen();
    const kind = this.#kind;
    const { value, waitMs, signal } = call;
    const says = value === undefined ? undefined : encodeValue(codec, path, value);
    const term = await space.holder.hold({
      path,
      call,
      ask: (asker) =>
        host.run(kind.campaign, name, { ...asker, path, says, waitMs }, signal && { signal }),
      giveUp: ({ id }) => host.run(kind.resign, name, { id, path }),
      make: (parts, asker) => new HeldTerm(parts, asker, this.#namespace, kind),
    });
    if (term !== null) this.#term = term;
    return term;
  }

  get #range(): KeyRange {
    return leaderRange(pathToBytes(this.path), this.#kind.facet);
  }

  /** A batch may hold many revisions. One holds no more than one change here, as a grant checks that no mark stands (rule K1). */
  *#told({ changes }: Batch): Iterable<types.Leader<T> | null> {
    for (const { kind, entry } of changes) yield kind === 'put' ? this.#leader(entry) : null;
  }

  #leader(mark: Entry): types.Leader<T> {
    const { owner, says } = decodeParty(mark.value);
    const value = says === undefined ? null : decodeValue(this.#namespace.codec, this.path, says);
    return {
      owner,
      term: mark.createRevision,
      value,
      revision: mark.modRevision,
      lease: mark.lease,
    };
  }
}

export class HeldTerm<T> extends Held implements types.Term<T> {
  /** Of the campaign that won. */
  readonly id: string;
  readonly #namespace: HostNamespace<T>;
  readonly #kind: ElectionKind;

  constructor(
    parts: HeldParts,
    { id }: Asker,
    namespace: HostNamespace<T>,
    kind: ElectionKind = election,
  ) {
    super(parts);
    this.id = id;
    this.#namespace = namespace;
    this.#kind = kind;
  }

  async proclaim(value: T, call: Call = {}): Promise<void> {
    const { path, token: term } = this;
    const { host, name, codec } = this.#namespace;
    if (!this.isHeld()) throw this.reason ?? lostTerm(path);
    const says = encodeValue(codec, path, value);
    try {
      await host.run(this.#kind.proclaim, name, { id: this.id, path, term, says }, call);
    } catch (error) {
      // The engine knows it before this term's own watch does.
      if (isWaymarkError(error, 'lost')) this.lose('ended: another leads, or nobody', error);
      throw error;
    }
  }

  protected get title(): string {
    return `term ${this.token} of ${this.path}`;
  }

  protected giveBack(): Promise<boolean> {
    const { space, name } = this.#namespace;
    return space.host.run(this.#kind.resign, name, { id: this.id, path: this.path });
  }

  protected watchLoss(lost: (why: string) => void): () => void {
    const { space, name } = this.#namespace;
    const range = leaderRange(pathToBytes(this.path), this.#kind.facet);
    return watchKeyGone(space.host, name, range, this.token, lost);
  }
}
