import type { ByteString, KeyRange } from '../core/engine.js';
import { isWaymarkError } from '../core/errors.js';
import { groupElection } from '../recipes/election.js';
import { checkDelivery, deliver } from '../recipes/messages.js';
import { withTime } from '../recipes/waiting.js';
import { type Delivery, type Incoming, type MessageKind, refused } from '../recipes/switchboard.js';
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

/** Sends the messages of one member, and says what they are. */
export class Messenger<B> implements types.Messages<B> {
  readonly #namespace: HostNamespace<B>;
  readonly #group: Members;
  readonly #self: string;
  readonly #mark: KeyRange;
  readonly #leader: KnownLeader;

  constructor(namespace: HostNamespace<B>, group: Members, self: string) {
    this.#namespace = namespace;
    this.#group = group;
    this.#self = self;
    this.#mark = leaderRange(pathToBytes(group.path), groupElection.facet);
    this.#leader = new KnownLeader(namespace.host, namespace.name, this.#mark);
  }

  /** It no longer follows who leads. */
  end(): void {
    this.#leader.end();
  }

  async send<R>(body: B, call: types.SendCall = {}): Promise<types.Reply<R>> {
    const { deadlineMs = deadlineMsDefault } = call;
    const bytes = this.#encode(body, deadlineMs);
    const until = this.#namespace.space.clock.now() + deadlineMs;
    const { told } = this.#leader;
    let why = 'nobody leads the group';
    if (told !== null) {
      const message = { kind: 'send', term: told.term, bytes, deadlineMs } as const;
      const delivery = await this.#deliver(told.id, message, call);
      if (settled(delivery)) return this.#reply(told.id, delivery);
      why = delivery.why;
    }
    return await this.#seek(bytes, until, why, call);
  }

  /** Looks for a leader that takes it. */
  async #seek<R>(
    bytes: ByteString,
    until: number,
    refusal: string,
    call: types.SendCall,
  ): Promise<types.Reply<R>> {
    const { clock } = this.#namespace.space;
    const { deadlineMs = deadlineMsDefault } = call;
    const late = withTime(clock, until - clock.now(), call.signal);
    let why = refusal;
    let pauseMs = pauseMsMin;
    try {
      for (let left = until - clock.now(); left > 0; left = until - clock.now()) {
        const message = { kind: 'send', bytes, deadlineMs: left } as const;
        const tried = await this.#leader.read(late.signal, async (leader, revision) => {
          if (leader === null) return { revision };
          const { id, term } = leader;
          return { revision, id, delivery: await this.#deliver(id, { ...message, term }, call) };
        });
        if (tried.delivery !== undefined) {
          if (settled(tried.delivery)) return this.#reply(tried.id, tried.delivery);
          why = tried.delivery.why;
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
    why = `no leader took it within ${deadlineMs} ms: ${why}`;
    return { outcome: 'refused', member: null, seen: false, why };
  }

  async sendTo<R>(member: string, body: B, call: types.SendCall = {}): Promise<types.Reply<R>> {
    const { deadlineMs = deadlineMsDefault } = call;
    const bytes = this.#encode(body, deadlineMs);
    const message = { kind: 'send', term: undefined, bytes, deadlineMs } as const;
    return this.#reply(member, await this.#deliver(member, message, call));
  }

  async *broadcast<R>(
    body: B,
    call: types.BroadcastCall = {},
  ): AsyncIterableIterator<types.Reply<R>> {
    const { deadlineMs = deadlineMsDefault, skipSelf = false, only, signal } = call;
    const bytes = this.#encode(body, deadlineMs);
    const { members } = await this.#group.list({ signal });
    const targets = (only ?? members.map(({ id }) => id)).filter(
      (id) => !skipSelf || id !== this.#self,
    );
    const message = { kind: 'broadcast', term: undefined, bytes, deadlineMs } as const;
    const come: types.Reply<R>[] = [];
    let failure: { readonly error: unknown } | null = null;
    let wake = (): void => {};
    for (const id of new Set(targets)) {
      this.#deliver(id, message, call).then(
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
    for (let left = new Set(targets).size; left > 0; left--) {
      while (come.length === 0) {
        if (failure !== null) throw (failure as { readonly error: unknown }).error;
        await new Promise<void>((resolve) => (wake = resolve));
      }
      yield come.shift() as types.Reply<R>;
    }
  }

  /** A message as the handler gets it. */
  read({ from, kind, term, body }: Incoming): types.Message<B> {
    const { codec } = this.#namespace;
    return { from, kind, term: term ?? null, body: decodeValue(codec, this.#group.path, body) };
  }

  /** What a handler returned, as it goes back; nothing is null. */
  encodeReply(value: unknown): ByteString {
    return encodeValue(this.#namespace.codec, this.#group.path, (value ?? null) as B);
  }

  async #deliver(
    member: string,
    message: {
      readonly kind: MessageKind;
      readonly term: number | undefined;
      readonly bytes: ByteString;
      readonly deadlineMs: number;
    },
    { signal }: Call,
  ): Promise<Delivery> {
    const { host, name } = this.#namespace;
    const { kind, term, bytes: body, deadlineMs } = message;
    try {
      const [group, from] = [this.#group.path, this.#self];
      const args = { group, member, from, kind, term, body, deadlineMs, relayed: false };
      return await host.run(deliver, name, args, { signal, withinMs: deadlineMs + graceMs });
    } catch (error) {
      signal?.throwIfAborted();
      if (isWaymarkError(error, 'unavailable')) return refused(error.message);
      if (!isWaymarkError(error, 'uncertain')) throw error;
      return { outcome: 'unknown', seen: true, body: '', why: error.message };
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

  #encode(body: B, deadlineMs: number): ByteString {
    const bytes = encodeValue(this.#namespace.codec, this.#group.path, body);
    checkDelivery(bytes, deadlineMs);
    return bytes;
  }

  #reply<R>(member: string, { outcome, seen, body, why }: Delivery): types.Reply<R> {
    if (outcome !== 'delivered') return { outcome, member, seen, why };
    const value = decodeValue(this.#namespace.codec, this.#group.path, body) as unknown as R;
    return { outcome, member, value };
  }
}

/** A handler may have seen it: it is not sent again. */
function settled({ outcome, seen }: Delivery): boolean {
  return outcome !== 'refused' || seen;
}
