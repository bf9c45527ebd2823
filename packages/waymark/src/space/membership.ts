import type { LeaseId } from '../core/engine.js';
import * as calls from '../recipes/members.js';
import { textToBytes } from '../core/bytes.js';
import { WaymarkError } from '../core/errors.js';
import { groupElection } from '../recipes/election.js';
import { hostPortOf } from '../recipes/listener-address.js';
import { Candidacy, untilOver } from './candidacy.js';
import { type Incoming, opensStream } from '../recipes/outgoing.js';
import { Held, type HeldParts } from './held.js';
import type { ListenerBox } from './listener-box.js';
import { Mailbox } from './mailbox.js';
import type { BroadcastCall, Handler, Reply, SendCall } from './message-types.js';
import { MemberStreams } from './member-streams.js';
import { Messenger } from './messenger.js';
import type { Asker } from './holder.js';
import { memberKey } from './layout.js';
import type { HostMembers } from './members.js';
import type * as types from './member-types.js';
import { pathToBytes } from './paths.js';
import type * as streams from './stream-types.js';
import type { Call, Hold } from './types.js';
import { watchKeyGone } from './watch-key.js';

export interface MembershipParts<M> {
  readonly group: HostMembers<M>;
  readonly id: string;
  readonly asker: Asker;
  readonly call: types.JoinCall<M>;
  /** Where it listens. */
  readonly box: ListenerBox | null;
}

export class HeldMembership<M> extends Held implements types.Membership<M> {
  readonly id: string;
  readonly closed: Promise<Hold['reason']>;
  readonly #parts: MembershipParts<M>;
  readonly #candidacy: Candidacy | null;
  readonly #messenger: Messenger<unknown>;
  readonly #streams: MemberStreams<unknown>;
  readonly #mailbox: Mailbox | null;
  /** That it leaves by itself, until it has. */
  #left: Promise<boolean> | undefined;

  constructor(held: HeldParts, parts: MembershipParts<M>) {
    let close: (reason: Hold['reason']) => void = () => undefined;
    const closed = new Promise<Hold['reason']>((resolve) => (close = resolve));
    const ended = (one: Held): void => {
      held.ended(one);
      parts.call.signal?.removeEventListener('abort', this.#leave);
      this.#candidacy?.end(one.reason ?? calls.lostMembership(parts.id, held.path));
      void this.#over()
        .then(() => parts.box?.close())
        .then(() => this.#left)
        .catch(() => undefined)
        .finally(() => close(one.reason));
    };
    super({ ...held, ended });
    this.closed = closed;
    this.#parts = parts;
    this.id = parts.id;
    const { group, asker, call } = parts;
    this.#messenger = new Messenger(group.namespace, group, {
      from: parts.id,
      guest: false,
      token: call.token,
    });
    this.#streams = new MemberStreams({
      namespace: group.namespace,
      messenger: this.#messenger,
      group: held.path,
      member: parts.id,
      lease: asker.lease,
      host: parts.box ?? group.namespace.host,
      token: call.token,
      handler: call.handleStream,
      refuse: this.#refuse,
    });
    const takes = call.handle !== undefined || call.handleStream !== undefined;
    this.#mailbox = takes ? this.#open(call.handle, asker.lease) : null;
    parts.call.signal?.addEventListener('abort', this.#leave, { once: true });
    this.#candidacy = parts.call.lead === true && this.isHeld() ? this.#stand(held.lease) : null;
  }

  /** Resolves when its messages are taken. */
  get opened(): Promise<void> {
    return this.#mailbox?.opened ?? Promise.resolve();
  }

  get listens(): string | null {
    const { box } = this.#parts;
    return box === null ? null : hostPortOf(box.address.at);
  }

  isLeader(): boolean {
    return this.term() !== null;
  }

  term(): Hold | null {
    return this.isHeld() ? (this.#candidacy?.term ?? null) : null;
  }

  async elected({ signal }: Call = {}): Promise<Hold> {
    if (this.#candidacy === null) {
      throw new WaymarkError('invalid', `${this.id} does not stand: join with lead: true`);
    }
    return await this.#candidacy.elected(signal ?? new AbortController().signal);
  }

  async leader(call: Call = {}): Promise<types.GroupLeader<M> | null> {
    return await this.#parts.group.leader(call);
  }

  async update(
    told: { readonly meta?: M | undefined; readonly address?: string | undefined },
    call: Call = {},
  ): Promise<void> {
    const { group, id } = this.#parts;
    if (!this.isHeld()) throw this.reason ?? calls.lostMembership(id, this.path);
    const { address } = told;
    const meta = told.meta === undefined ? undefined : group.encodeMeta(told.meta);
    const { host, name } = group.namespace;
    const args = { group: this.path, member: id, incarnation: this.token, address, meta };
    await host.run(calls.update, name, args, call);
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

  sendStream<R>(
    parts: AsyncIterable<unknown> | Iterable<unknown>,
    call?: streams.StreamCall,
  ): streams.SentStream<R> {
    return this.#streams.sendStream(parts, call);
  }

  broadcastStream<R>(
    parts: AsyncIterable<unknown> | Iterable<unknown>,
    call?: streams.BroadcastStreamCall,
  ): AsyncIterableIterator<streams.StreamReply<R> | streams.StreamOutcome> {
    return this.#streams.broadcastStream(parts, call);
  }

  protected get title(): string {
    return `membership of ${this.id} in ${this.path}`;
  }

  protected giveBack(): Promise<boolean> {
    return (this.#left = this.#takeLeave());
  }

  /** Who leads resigns first: no view shows a leader that is no member. */
  async #takeLeave(): Promise<boolean> {
    const { group, id } = this.#parts;
    await this.#over();
    const { space, name } = group.namespace;
    const args = { group: this.path, member: id, incarnation: this.token, id: undefined };
    try {
      return await space.host.run(calls.leave, name, args);
    } finally {
      await this.#parts.box?.close();
    }
  }

  protected watchLoss(lost: (why: string) => void): () => void {
    const { space, name } = this.#parts.group.namespace;
    const key = memberKey(pathToBytes(this.path), textToBytes(this.id));
    return watchKeyGone(space.host, name, { key }, this.token, lost);
  }

  /** Where the engine is out of reach, the lease ends it. */
  readonly #leave = (): void => void this.release().catch(() => undefined);

  /** What is being handled is answered, and the term resigned. */
  async #over(): Promise<void> {
    this.#messenger.end();
    await Promise.all([this.#streams.close(this.reason), this.#mailbox?.close()]);
    await this.#candidacy?.done.catch(() => undefined);
  }

  readonly #refuse = ({ term }: Incoming): string | undefined =>
    term === undefined || this.term()?.token === term ? undefined : `it does not lead term ${term}`;

  #open(handle: Handler | undefined, lease: LeaseId): Mailbox {
    const { group } = this.#parts;
    const { name: namespace, space } = group.namespace;
    const host = this.#parts.box ?? group.namespace.host;
    const messenger = this.#messenger;
    return new Mailbox({
      host,
      clock: space.clock,
      namespace,
      group: this.path,
      member: this.id,
      lease,
      refuse: (message) =>
        handle === undefined && !opensStream(message)
          ? `${this.id} takes streams alone`
          : this.#refuse(message),
      handle: async (message) => {
        if (handle === undefined || opensStream(message))
          return await this.#streams.accept(message);
        return messenger.encodeReply(await handle(messenger.read(message)));
      },
    });
  }

  #stand(lease: HeldParts['lease']): Candidacy {
    const { group, asker } = this.#parts;
    return new Candidacy({
      namespace: group.namespace,
      path: this.path,
      kind: groupElection,
      owner: asker.owner,
      says: textToBytes(this.id),
      lease,
      lead: untilOver,
    });
  }
}
