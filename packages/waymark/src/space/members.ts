import type { Entry, KeyRange, Query } from '../core/engine.js';
import { bytesToText, textToBytes } from '../core/bytes.js';
import { isWaymarkError, WaymarkError } from '../core/errors.js';
import { groupElection } from '../recipes/election.js';
import { checkName } from '../recipes/checks.js';
import { hostPortOf } from '../recipes/listener-address.js';
import { entriesOf } from '../recipes/lock-queue.js';
import * as calls from '../recipes/members.js';
import { encodeValue, json } from './codecs.js';
import { GroupState, leaderOf, type PresentGroup } from './group-state.js';
import { groupRange, leaderRange, memberKey } from './layout.js';
import type { ListenerBox } from './listener-box.js';
import { HeldMembership } from './membership.js';
import type * as types from './member-types.js';
import type { BroadcastCall, Reply, SendCall } from './message-types.js';
import { Messenger } from './messenger.js';
import type { HostNamespace } from './namespace.js';
import { pathToBytes } from './paths.js';
import type { Call } from './types.js';

/** A page of members is read at once; the largest are 16 KiB. */
const pageSize = 200;
const tokenMax = 512;

export class HostMembers<M> implements types.Members<M> {
  readonly path: string;
  readonly namespace: HostNamespace<unknown>;
  readonly #members: KeyRange;
  readonly #mark: KeyRange;
  readonly #owner: string;
  readonly #messenger: Messenger<unknown>;

  constructor(
    namespace: HostNamespace<unknown>,
    path: string,
    { owner = namespace.space.owner }: types.GroupOptions,
  ) {
    checkName('owner of a handle', owner);
    this.namespace = namespace;
    this.path = path;
    this.#members = groupRange(pathToBytes(path));
    this.#mark = leaderRange(pathToBytes(path), groupElection.facet);
    this.#owner = owner;
    this.#messenger = new Messenger(namespace, this, { from: owner, guest: true });
  }

  async join(call: types.JoinCall<M> = {}): Promise<types.Membership<M>> {
    const { space, host, name } = this.namespace;
    const { path: group } = this;
    const id = call.id ?? space.random.id();
    const meta = call.meta === undefined ? undefined : this.encodeMeta(call.meta);
    const { ttlMs, owner = this.#owner, signal } = call;
    const box = await this.#listen(call);
    const address = call.address ?? (box === null ? undefined : hostPortOf(box.address.at));
    const joining = space.holder.hold({
      path: group,
      call: { ttlMs, owner, signal },
      ask: (asker) =>
        host.run(
          calls.join,
          name,
          { ...asker, address, meta, group, member: id },
          signal && { signal },
        ),
      giveUp: ({ id: by }) =>
        host.run(calls.leave, name, { group, member: id, incarnation: undefined, id: by }),
      make: (parts, asker) => new HeldMembership<M>(parts, { group: this, id, asker, call, box }),
    });
    joining.catch(() => box?.close());
    const membership = await joining;
    if (membership === null) throw calls.lostMembership(id, group);
    try {
      await membership.opened;
      signal?.throwIfAborted();
      return membership;
    } catch (error) {
      await membership.release().catch(() => undefined);
      throw error;
    }
  }

  async list(call: Call = {}): Promise<types.MembersView<M>> {
    const state = new GroupState<M>();
    const { epoch, members, leader } = state.reset(await this.#present(call));
    return { epoch, members, leader };
  }

  async leader(call: Call = {}): Promise<types.GroupLeader<M> | null> {
    const { host, name } = this.namespace;
    for (;;) {
      const { entries, revision } = await host.read(name, { ...this.#mark, limit: 1 }, call);
      const leading = leaderOf(entries[0]);
      if (leading === null) return null;
      const key = memberKey(pathToBytes(this.path), textToBytes(leading.id));
      try {
        const reading = await host.read(name, { key, at: revision }, call);
        const [entry] = reading.entries;
        if (entry === undefined) return null;
        return { term: leading.term, member: calls.decodeMember(entry) };
      } catch (error) {
        if (!isWaymarkError(error, 'compacted')) throw error;
      }
    }
  }

  async *watch(call: Call = {}): AsyncIterableIterator<types.MembersChange<M>> {
    const { space, host, name } = this.namespace;
    const ended = space.join(call.signal);
    const { signal } = ended;
    const state = new GroupState<M>();
    try {
      for (;;) {
        const present = await this.#present({ signal });
        yield state.reset(present);
        try {
          const options = { after: present.revision, signal };
          for await (const batch of host.watch(name, [this.#members, this.#mark], options)) {
            yield* state.take(batch);
          }
          return;
        } catch (error) {
          if (!isWaymarkError(error, 'compacted')) throw error;
        }
      }
    } finally {
      ended.leave();
    }
  }

  send<R>(body: unknown, call?: SendCall): Promise<Reply<R>> {
    return this.#messenger.send(body, call);
  }

  sendTo<R>(member: string, body: unknown, call?: SendCall): Promise<Reply<R>> {
    return this.#messenger.sendTo(member, body, call);
  }

  broadcast<R>(body: unknown, call?: BroadcastCall): AsyncIterableIterator<Reply<R>> {
    return this.#messenger.broadcast(body, call);
  }

  /** @throws {WaymarkError} `invalid` for what has no JSON */
  encodeMeta(meta: M): string {
    return bytesToText(encodeValue(json, this.path, meta));
  }

  /** @throws {WaymarkError} `invalid`, `taken`, `conflict` */
  async #listen(call: types.JoinCall<M>): Promise<ListenerBox | null> {
    const { listen, advertise, token, handle, handleStream } = call;
    const handled = handle !== undefined || handleStream !== undefined;
    checkListening({ listen, advertise, token, handled });
    if (listen === undefined) return null;
    const { space, host, name: namespace } = this.namespace;
    const { clock, random } = space;
    // Loaded by who listens alone, and the platform's network with it.
    const { openBox } = await import('./listener.js');
    return await openBox({ listen, advertise, token, host, namespace, clock, random });
  }

  /** Members and leader at one revision; begun anew when compaction overtakes it. */
  async #present(call: Call): Promise<PresentGroup> {
    const { host, name } = this.namespace;
    for (;;) {
      const first: Query = { ...this.#members, limit: pageSize };
      const apply = [
        { type: 'read', ...first },
        { type: 'read', ...this.#mark, limit: 1 },
      ] as const;
      const { results, revision } = await host.commit(name, { apply }, call);
      const [members = [], marks = []] = results.map(entriesOf);
      try {
        const rest = await this.#after(members, revision, call);
        return { revision, members: [...members, ...rest], mark: marks[0] };
      } catch (error) {
        if (!isWaymarkError(error, 'compacted')) throw error;
      }
    }
  }

  /** The pages that follow a first one. */
  async #after(first: readonly Entry[], at: number, call: Call): Promise<Entry[]> {
    const { host, name } = this.namespace;
    const all: Entry[] = [];
    let more = first.length === pageSize;
    for (let last = first.at(-1); more && last !== undefined;) {
      const key = `${last.key}\0`;
      const query = { ...this.#members, key, at, limit: pageSize, uncounted: true };
      const page = await host.read(name, query, call);
      all.push(...page.entries);
      last = page.entries.at(-1);
      more = page.more;
    }
    return all;
  }
}

/** @throws {WaymarkError} `invalid` */
function checkListening(told: {
  readonly listen: string | undefined;
  readonly advertise: string | undefined;
  readonly token: string | undefined;
  readonly handled: boolean;
}): void {
  const { listen, advertise, token, handled } = told;
  const invalid = (why: string): WaymarkError => new WaymarkError('invalid', why);
  if (listen !== undefined && !handled) throw invalid('who listens takes messages: give a handle');
  if (listen === undefined && advertise !== undefined) throw invalid('advertise goes with listen');
  if (token === undefined) return;
  if (typeof token !== 'string' || token === '' || token.length > tokenMax) {
    throw invalid(`a token is text of 1 to ${tokenMax} characters`);
  }
}
