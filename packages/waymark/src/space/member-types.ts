import type { LeaseId, Revision } from '../core/engine.js';
import type { Handler, Messages } from './message-types.js';
import type { StreamHandler, Streams } from './stream-types.js';
import type { Call, Hold } from './types.js';

/** The public types of a group's members. Rules M1 to M8 in docs/spec/recipes.md. */

export interface Member<M = unknown> {
  /** Unique in its group at any time. */
  readonly id: string;
  /** The revision of its join: of two with one id the later has the greater. */
  readonly incarnation: number;
  readonly owner: string;
  /** Where others reach it; null when it told none. */
  readonly address: string | null;
  /** What it tells of itself; null when it told nothing. */
  readonly meta: M | null;
  /** The revision of its join, or of its last update. */
  readonly revision: Revision;
  readonly lease: LeaseId;
}

/** A group at one revision. */
export interface MembersView<M = unknown> {
  /**
   * Of two views the one with the greater epoch is not the older. In a watch: the revision of the change that made it. From `list`: the
   * revision at which it was read.
   */
  readonly epoch: Revision;
  /** In the order of their ids, byte by byte. */
  readonly members: readonly Member<M>[];
  /** The member that leads, among those that stand for it; its term grows with every leader. */
  readonly leader: { readonly id: string; readonly term: number } | null;
}

/** A view, and what made it out of the one before. */
export interface MembersChange<M = unknown> extends MembersView<M> {
  /** In the first view all are here. */
  readonly joined: readonly Member<M>[];
  /** They said so. */
  readonly left: readonly Member<M>[];
  /** Their lease ended. */
  readonly failed: readonly Member<M>[];
  /** Gone while history was compacted under this watch: it cannot be told how. */
  readonly missed: readonly Member<M>[];
  /** As they are now. */
  readonly updated: readonly Member<M>[];
}

export interface GroupLeader<M = unknown> {
  readonly term: number;
  readonly member: Member<M>;
}

export interface JoinCall<M = unknown> extends Call {
  /** 1 to 128 bytes of text without NUL; default: one that nobody else has. */
  readonly id?: string | undefined;
  /** At most 512 bytes. */
  readonly address?: string | undefined;
  /** At most 16 KiB of JSON. */
  readonly meta?: M | undefined;
  /** How long it counts as a member while its process is silent; 1 000 to 31 536 000 000, default 10 000. */
  readonly ttlMs?: number | undefined;
  /** Who to show; default the handle's, else the space's owner name. */
  readonly owner?: string | undefined;
  /** Stands for the group's leader in the background, as long as it is a member. Default false. */
  readonly lead?: boolean | undefined;
  /** Takes the streams of other members; without it none are taken. */
  readonly handleStream?: StreamHandler | undefined;
  /** Takes the messages of other members; without it none are taken. Its replies are values of the namespace's codec. */
  readonly handle?: Handler | undefined;
  /**
   * Takes its messages in this process, straight from who sends them: `:port` on all addresses of this machine, `host:port`, `[ipv6]:port`; port 0
   * is a free one. Memberships that ask for the same share one port. Default: by way of the server, if any.
   */
  readonly listen?: string | undefined;
  /** `host:port` by which others reach it. Default: the host of `listen`, or this machine's own address. */
  readonly advertise?: string | undefined;
  /** Shared by members that listen: one without it sends them nothing. 1 to 512 characters; default none. */
  readonly token?: string | undefined;
  /** Aborts the join; afterwards it leaves. */
  readonly signal?: AbortSignal | undefined;
}

/** Its token is the incarnation. Releasing it leaves. */
export interface Membership<M = unknown> extends Hold, Messages, Streams {
  readonly id: string;
  /** `host:port` at which others reach it directly; null unless it listens. */
  readonly listens: string | null;
  /** Resolves once it is over and its handlers are done: with why it was lost, or with undefined when it left. */
  readonly closed: Promise<Hold['reason']>;
  /** Whether it leads its group, by the local clock: no call, and no promise about the next moment. */
  isLeader(): boolean;
  /**
   * The term it leads; null while it does not. Its `token` goes to what the leader touches, its `signal` tells of the loss; releasing it
   * resigns, and stands again behind the others.
   */
  term(): Hold | null;
  /** Waits until it leads. @throws {WaymarkError} `lost` when it is no member any more, `invalid` when it does not stand */
  elected(call?: Call): Promise<Hold>;
  leader(call?: Call): Promise<GroupLeader<M> | null>;
  /** Tells others; what is not named stays. @throws {WaymarkError} `lost`, `too_large` */
  update(
    told: { readonly meta?: M | undefined; readonly address?: string | undefined },
    call?: Call,
  ): Promise<void>;
}

export interface GroupOptions {
  /** Who to show: as the sender of its messages, and of who joins unless told otherwise; default the space's owner name. */
  readonly owner?: string | undefined;
}

/** A group, and messages to its members from who is none: a guest. */
export interface Members<M = unknown> extends Messages {
  /** The group. */
  readonly path: string;
  /**
   * @throws {WaymarkError} `conflict` while a member has this id, or the port another token; `taken` when another process has the port; `lost`,
   *                        `invalid`, `too_large`
   */
  join(call?: JoinCall<M>): Promise<Membership<M>>;
  list(call?: Call): Promise<MembersView<M>>;
  leader(call?: Call): Promise<GroupLeader<M> | null>;
  /** The view as it is, then one for every revision that changes it. */
  watch(call?: Call): AsyncIterableIterator<MembersChange<M>>;
}
