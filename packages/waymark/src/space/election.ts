import type { Batch, Entry } from '../core/engine.js';
import type { Explanation } from '../core/host.js';
import { isWaymarkError } from '../core/errors.js';
import { election, type ElectionKind } from '../recipes/election.js';
import { decodeParty } from '../recipes/lock-queue.js';
import { lostHold } from '../recipes/lock-writes.js';
import { decodeValue, encodeValue } from './codecs.js';
import { Held, type HeldParts } from './held.js';
import type { Asker } from './holder.js';
import { leaderRange } from './layout.js';
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
    throw lostHold(this.path);
  }

  async tryCampaign(call: types.CampaignCall<T> = {}): Promise<types.Term<T> | null> {
    return await this.#campaign({ ...call, waitMs: 0 });
  }

  isLeader(): boolean {
    return this.#term?.isHeld() === true;
  }

  async leader(call: Call = {}): Promise<types.Leader<T> | null> {
    const { host, name } = this.#namespace;
    const { entries } = await host.read(name, { ...this.#range, limit: 1 }, call);
    const [mark] = entries;
    return mark === undefined ? null : this.#leader(mark);
  }

  async *observe(call: Call = {}): AsyncIterableIterator<types.Leader<T> | null> {
    const { host, name } = this.#namespace;
    for (;;) {
      const { entries, revision } = await host.read(name, { ...this.#range, limit: 1 }, call);
      const [mark] = entries;
      yield mark === undefined ? null : this.#leader(mark);
      try {
        const watch = host.watch(name, [this.#range], { after: revision, signal: call.signal });
        for await (const batch of watch) yield* this.#told(batch);
        return;
      } catch (error) {
        if (!isWaymarkError(error, 'compacted')) throw error;
      }
    }
  }

  async explain(call: Call = {}): Promise<Explanation> {
    const { host, name } = this.#namespace;
    return await host.run(this.#kind.explain, name, { path: this.path }, call);
  }

  async #campaign(call: types.CampaignCall<T>): Promise<HeldTerm<T> | null> {
    const { space, host, name, codec } = this.#namespace;
    const { path } = this;
    const kind = this.#kind;
    const { value, waitMs, signal } = call;
    const says = value === undefined ? undefined : encodeValue(codec, path, value);
    const term = await space.holder.hold({
      path,
      call,
      ask: (asker) =>
        host.run(kind.campaign, name, { ...asker, path, says, waitMs }, signal && { signal }),
      make: (parts, asker) => new HeldTerm(parts, asker, this.#namespace, kind),
    });
    if (term !== null) this.#term = term;
    return term;
  }

  get #range(): { readonly key: string; readonly end?: string | undefined } {
    return leaderRange(pathToBytes(this.path), this.#kind.facet);
  }

  /** One revision holds at most the end of a term and the begin of the next. */
  *#told({ changes }: Batch): Iterable<types.Leader<T> | null> {
    const newest = changes.findLast(({ kind }) => kind === 'put');
    if (newest !== undefined) yield this.#leader(newest.entry);
    else if (changes.length > 0) yield null;
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
  readonly #asker: Asker;
  readonly #namespace: HostNamespace<T>;
  readonly #kind: ElectionKind;

  constructor(
    parts: HeldParts,
    asker: Asker,
    namespace: HostNamespace<T>,
    kind: ElectionKind = election,
  ) {
    super(parts);
    this.#asker = asker;
    this.#namespace = namespace;
    this.#kind = kind;
  }

  /** Of the campaign that won. */
  get id(): string {
    return this.#asker.id;
  }

  async proclaim(value: T, call: Call = {}): Promise<void> {
    const { path, token: term } = this;
    if (!this.isHeld()) throw this.reason ?? lostHold(path);
    const { host, name, codec } = this.#namespace;
    const says = encodeValue(codec, path, value);
    await host.run(this.#kind.proclaim, name, { ...this.#asker, path, says, term }, call);
  }

  protected get title(): string {
    return `term ${this.token} of ${this.path}`;
  }

  protected giveBack(): Promise<boolean> {
    const { space, name } = this.#namespace;
    return space.host.run(this.#kind.resign, name, { id: this.#asker.id, path: this.path });
  }

  protected watchLoss(lost: (why: string) => void): () => void {
    const { space, name } = this.#namespace;
    const range = leaderRange(pathToBytes(this.path), this.#kind.facet);
    return watchKeyGone(space.host, name, range, this.token, lost);
  }
}
