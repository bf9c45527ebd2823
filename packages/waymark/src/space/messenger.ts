import type { ByteString, KeyRange } from '../core/engine.js';
import { isWaymarkError, WaymarkError } from '../core/errors.js';
import { groupElection } from '../recipes/election.js';
import { checkMemberId } from '../recipes/members.js';
import { checkDelivery } from '../recipes/messages.js';
import { withTime } from '../recipes/waiting.js';
import {
  type Delivery,
  type Incoming,
  type MessageKind,
  refused,
  unknown,
} from '../recipes/outgoing.js';
import { decodeValue, encodeValue } from './codecs.js';
import { KnownLeader } from './known-leader.js';
import { leaderRange } from './layout.js';
import type { HostNamespace } from './namespace.js';
import { pathToBytes } from './paths.js';
import type { Members } from './member-types.js';
import type * as types from './message-types.js';
import type { Call } from './types.js';

const deadlineMsDefault = 10_000;
/** The host keeps the deadline; should it fall silent, this much later the sender stops waiting. */
const graceMs = 1_000;
/** Between two looks for a leader that takes the message. */
const pauseMsMin = 20;
const pauseMsMax = 500;

/** Who sends. */
export interface Sender {
  /** A member's id, or what a guest is called. */
  readonly from: string;
  readonly guest: boolean;
  /** What members that listen may ask for. */
  readonly token?: string | undefined;
}

/** A message, encoded. */
interface Letter {
  readonly kind: MessageKind;
  readonly term: number | undefined;
  readonly bytes: ByteString;
  readonly deadlineMs: number;
}

/** What became of a message, and who had it; nobody when there was none to take it. */
export interface Brought {
  readonly member: string | null;
  readonly delivery: Delivery;
}

/** Sends the messages of a member or a guest, and says what they are. */
export class Messenger<B> implements types.Messages<B> {
  readonly #namespace: HostNamespace<B>;
  readonly #group: Members;
  readonly #sender: Sender;
  readonly #mark: KeyRange;
  readonly #leader: KnownLeader;

  constructor(namespace: HostNamespace<B>, group: Members, sender: Sender) {
    this.#namespace = namespace;
    this.#group = group;
    this.#sender = sender;
    this.#mark = leaderRange(pathToBytes(group.path), groupElection.facet);
    this.#leader = new KnownLeader(namespace.host, namespace.name, this.#mark);
    // A guest may send once and be forgotten: it reads each time.
    if (sender.guest) this.#leader.end();
  }

  /** It no longer follows who leads. */
  end(): void {
    this.#leader.end();
  }

  async send<R>(body: B, call: types.SendCall = {}): Promise<types.Reply<R>> {
    const { deadlineMs = deadlineMsDefault } = call;
    const bytes = this.encode(body, deadlineMs);
    const { member, delivery } = await this.deliverToLeader('send', bytes, deadlineMs, call);
    return this.#reply(member, delivery);
  }

  /**
   * Brings a message to whoever leads, pinned to the term; waits for a leader, and tries anew where no handler has seen it.
   *
   * @returns who it was brought to, or null when nobody took it within the deadline
   */
  async deliverToLeader(
    kind: MessageKind,
    bytes: ByteString,
    deadlineMs: number,
    call: Call,
  ): Promise<Brought> {
    const until = this.#namespace.space.clock.now() + deadlineMs;
    const { told } = this.#leader;
    let why = 'nobody leads the group';
    if (told !== null) {
      const { id: member, term } = told;
      const delivery = await this.deliver(member, { kind, term, bytes, deadlineMs }, call);
      if (settled(delivery)) return { member, delivery };
      why = delivery.why;
    }
    const found = await this.#seek({ kind, bytes, until, why }, call);
    if (typeof found !== 'string') return found;
    const delivery = refused(`no leader took it within ${deadlineMs} ms: ${found}`);
    return { member: null, delivery };
  }

  /** Looks for a leader that takes it. @returns why none did */
  async #seek(
    told: {
      readonly kind: MessageKind;
      readonly bytes: ByteString;
      readonly until: number;
      readonly why: string;
    },
    call: Call,
  ): Promise<Brought | string> {
    const { clock } = this.#namespace.space;
    const { kind, bytes, until } = told;
    const late = withTime(clock, until - clock.now(), call.signal);
    let { why } = told;
    let pauseMs = pauseMsMin;
    try {
      for (let left = until - clock.now(); left > 0; left = until - clock.now()) {
        const letter = { kind, bytes, deadlineMs: left };
        const tried = await this.#leader.read(late.signal, async (leader, revision) => {
          if (leader === null) return { revision };
          const { id: member, term } = leader;
          const delivery = await this.deliver(member, { ...letter, term }, call);
          return { revision, brought: { member, delivery } };
        });
        if (tried.brought !== undefined) {
          if (settled(tried.brought.delivery)) return tried.brought;
          why = tried.brought.delivery.why;
        }
        await this.#leaderMoved(tried.revision, pauseMs, late.signal);
        pauseMs = Math.min(2 * pauseMs, pauseMsMax);
      }
    } catch (error) {
      if (!late.signal.aborted) throw error;
      call.signal?.throwIfAborted();
    } finally {
      late.stop();
    }
    return why;
  }

  async sendTo<R>(member: string, body: B, call: types.SendCall = {}): Promise<types.Reply<R>> {
    const { deadlineMs = deadlineMsDefault } = call;
    const bytes = this.encode(body, deadlineMs);
    const message = { kind: 'send', term: undefined, bytes, deadlineMs } as const;
    return this.#reply(member, await this.deliver(member, message, call));
  }

  async *broadcast<R>(
    body: B,
    call: types.BroadcastCall = {},
  ): AsyncIterableIterator<types.Reply<R>> {
    const { deadlineMs = deadlineMsDefault } = call;
    const bytes = this.encode(body, deadlineMs);
    const { clock } = this.#namespace.space;
    const until = clock.now() + deadlineMs;
    const targets = await this.targets(call, deadlineMs);
    const left = Math.max(1, until - clock.now());
    const message = { kind: 'broadcast', term: undefined, bytes, deadlineMs: left } as const;
    const come: types.Reply<R>[] = [];
    let failure: { readonly error: unknown } | null = null;
    let wake = (): void => {};
    for (const id of targets) {
      this.deliver(id, message, call).then(
        (delivery) => {
          come.push(this.#reply(id, delivery));
          wake();
        },
        (error: unknown) => {
          failure = { error };
          wake();
        },
      );
    }
    for (let open = targets.size; open > 0; open--) {
      while (come.length === 0) {
        if (failure !== null) throw (failure as { readonly error: unknown }).error;
        await new Promise<void>((resolve) => (wake = resolve));
      }
      yield come.shift() as types.Reply<R>;
    }
  }

  /** The members of the group as it is now, by id, or those of them that are named. @throws {WaymarkError} `invalid`, `timeout` */
  async targets(call: types.BroadcastCall, deadlineMs: number): Promise<Set<string>> {
    const { skipSelf = false, only, signal } = call;
    only?.forEach(checkMemberId);
    const targets = new Set(only ?? (await this.#present(deadlineMs, signal)));
    if (skipSelf && !this.#sender.guest) targets.delete(this.#sender.from);
    return targets;
  }

  /** The members by now. @throws {WaymarkError} `timeout` when they are not known by the deadline */
  async #present(deadlineMs: number, signal: AbortSignal | undefined): Promise<readonly string[]> {
    const late = withTime(this.#namespace.space.clock, deadlineMs, signal);
    try {
      const { members } = await this.#group.list({ signal: late.signal });
      return members.map(({ id }) => id);
    } catch (error) {
      signal?.throwIfAborted();
      if (!late.signal.aborted) throw error;
      const { path } = this.#group;
      throw new WaymarkError('timeout', `who is in ${path} was not told within ${deadlineMs} ms`);
    } finally {
      late.stop();
    }
  }

  /** A message as the handler gets it. */
  read({ from, guest, kind, term, body }: Incoming): types.Message<B> {
    const told = kind === 'broadcast' ? kind : 'send';
    return { from, guest, kind: told, term: term ?? null, body: this.decode(body) };
  }

  /** What a handler returned, as it goes back; nothing is null. @throws {WaymarkError} `invalid`, `too_large` */
  encodeReply(value: unknown): ByteString {
    return this.encode((value ?? null) as B);
  }

  /** @throws {WaymarkError} `invalid`, `too_large` */
  encode(body: B, deadlineMs = deadlineMsDefault): ByteString {
    const bytes = encodeValue(this.#namespace.codec, this.#group.path, body);
    checkDelivery(bytes, deadlineMs);
    return bytes;
  }

  decode(bytes: ByteString): B {
    return decodeValue(this.#namespace.codec, this.#group.path, bytes);
  }

  /** Brings a message to a member. */
  async deliver(member: string, message: Letter, { signal }: Call): Promise<Delivery> {
    const { space, name } = this.#namespace;
    const { kind, term, bytes: body, deadlineMs } = message;
    const { from, guest, token } = this.#sender;
    const group = this.#group.path;
    try {
      const letter = { group, member, from, guest, kind, term, body, deadlineMs };
      const call = { signal, token, withinMs: deadlineMs + graceMs };
      return await space.courier.deliver(name, letter, call);
    } catch (error) {
      signal?.throwIfAborted();
      if (isWaymarkError(error, 'unavailable')) return refused(error.message);
      if (isWaymarkError(error, 'uncertain')) return unknown(error.message);
      throw error;
    }
  }

  /** Resolves when somebody else leads than at `revision`, and after a pause: the leader may only not have known yet that it leads. */
  async #leaderMoved(revision: number, pauseMs: number, signal: AbortSignal): Promise<void> {
    const { host, name, space } = this.#namespace;
    const pause = withTime(space.clock, pauseMs, signal);
    try {
      const options = { after: revision, signal: pause.signal };
      for await (const { changes } of host.watch(name, [this.#mark], options)) {
        if (changes.length > 0) return;
      }
    } catch (error) {
      if (!pause.signal.aborted && !isWaymarkError(error, 'compacted')) throw error;
    } finally {
      pause.stop();
    }
  }

  #reply<R>(member: string | null, { outcome, seen, body, why }: Delivery): types.Reply<R> {
    if (member === null || outcome !== 'delivered') {
      return { outcome: outcome === 'unknown' ? outcome : 'refused', member, seen, why };
    }
    return { outcome, member, value: this.decode(body) as unknown as R };
  }
}

/** A handler may have seen it: it is not sent again. */
function settled({ outcome, seen }: Delivery): boolean {
  return outcome !== 'refused' || seen;
}
