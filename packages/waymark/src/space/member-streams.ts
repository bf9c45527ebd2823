import { bytesToText, textToBytes } from '../core/bytes.js';
import type { ByteString, LeaseId } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import type { Host } from '../core/host.js';
import type { Side } from '../recipes/channel.js';
import { checkDelivery } from '../recipes/messages.js';
import { lostMembership } from '../recipes/members.js';
import * as calls from '../recipes/streams.js';
import type { Incoming, MessageKind } from '../recipes/outgoing.js';
import { FanOut } from './fan-out.js';
import { IncomingStream } from './incoming-stream.js';
import { gathered } from './gathered.js';
import type { Messenger } from './messenger.js';
import type { HostNamespace } from './namespace.js';
import { OutgoingStream } from './outgoing-stream.js';
import { StreamEnd } from './stream-end.js';
import type * as types from './stream-types.js';

const deadlineMsDefault = 60_000;
/** A member that is there takes a stream at once: one that does not within this holds up no broadcast. */
const openMsMax = 10_000;

export interface MemberStreamsParts<B> {
  readonly namespace: HostNamespace<B>;
  readonly messenger: Messenger<B>;
  readonly group: string;
  readonly member: string;
  readonly lease: LeaseId;
  /** Where it takes its messages. */
  readonly host: Pick<Host, 'run'>;
  /** What members that listen may ask for. */
  readonly token: string | undefined;
  readonly handler: types.StreamHandler<B> | undefined;
  /** @returns why what was sent for this term is not for it */
  readonly refuse: (message: Incoming) => string | undefined;
}

/** The streams of one member, those it sends and those it is sent. */
export class MemberStreams<B> implements types.Streams<B> {
  readonly #parts: MemberStreamsParts<B>;
  readonly #sent = new Set<OutgoingStream<B, unknown>>();
  readonly #handled = new Map<StreamEnd, Promise<void>>();
  #closed: unknown = null;

  constructor(parts: MemberStreamsParts<B>) {
    this.#parts = parts;
  }

  sendStream<R>(
    parts: AsyncIterable<B> | Iterable<B>,
    call: types.StreamCall = {},
  ): types.SentStream<R> {
    return this.#send<R>(parts, 'sendStream', call.to, call);
  }

  async *broadcastStream<R>(
    parts: AsyncIterable<B> | Iterable<B>,
    call: types.BroadcastStreamCall = {},
  ): AsyncIterableIterator<types.StreamReply<R> | types.StreamOutcome> {
    checkDelivery('', call.deadlineMs ?? deadlineMsDefault);
    const targets = await this.#parts.messenger.targets(call, call.deadlineMs ?? deadlineMsDefault);
    const fan = new FanOut(parts);
    const branches = [...targets].map((member) => ({ member, branch: fan.branch() }));
    const streams = branches.map(({ member, branch }) => {
      const stream = this.#send<R>(branch, 'broadcastStream', member, call);
      // One that was not taken has read nothing.
      void stream.outcome.then(() => branch.return());
      return { member, stream };
    });
    yield* gathered(streams);
    if (fan.failure !== null) throw fan.failure.error;
    call.signal?.throwIfAborted();
  }

  /** Begins to handle a stream. @returns the channel. @throws {WaymarkError} `overloaded`, `lost`: no handler has seen it */
  async accept(message: Incoming): Promise<ByteString> {
    const { host, namespace, messenger, group, member, lease, handler, refuse } = this.#parts;
    if (handler === undefined) throw new WaymarkError('denied', `${member} takes no streams`);
    const deadlineMs = Number(bytesToText(message.body));
    const args = { group, member, lease, deadlineMs };
    const channel = await host.run(calls.open, namespace.name, args);
    const end = this.#connect('member', member, channel);
    const stream = new IncomingStream<B>({
      message,
      end,
      handler,
      refuse: () => refuse(message),
      encode: (reply) => messenger.encodeReply(reply),
      decode: (bytes) => messenger.decode(bytes),
    });
    const handled = stream.handle().finally(() => this.#handled.delete(end));
    this.#handled.set(end, handled);
    if (this.#closed !== null) this.#leave(end);
    return textToBytes(channel);
  }

  /** Ends all streams; resolves when every handler is done. */
  async close(reason: unknown): Promise<void> {
    const { group, member } = this.#parts;
    this.#closed ??= reason ?? lostMembership(member, group);
    const cut = { how: 'lost', why: 'its sender is no member any more' } as const;
    for (const stream of this.#sent) stream.cut(cut, this.#closed);
    for (const end of this.#handled.keys()) this.#leave(end);
    await Promise.allSettled(this.#handled.values());
  }

  #leave(end: StreamEnd): void {
    end.cut({ how: 'lost', why: `${this.#parts.member} is no member any more` });
  }

  #send<R>(
    parts: AsyncIterable<B> | Iterable<B>,
    kind: MessageKind,
    to: string | undefined,
    { deadlineMs = deadlineMsDefault, signal }: types.StreamCall,
  ): OutgoingStream<B, R> {
    checkDelivery('', deadlineMs);
    if (this.#closed !== null) throw this.#closed;
    const { messenger, namespace } = this.#parts;
    const bytes = textToBytes(String(deadlineMs));
    const stream: OutgoingStream<B, R> = new OutgoingStream<B, R>({
      clock: namespace.space.clock,
      parts,
      deadlineMs,
      signal,
      open: async (given) => {
        if (to === undefined) {
          return await messenger.deliverToLeader(kind, bytes, deadlineMs, { signal: given });
        }
        const openMs = Math.min(deadlineMs, openMsMax);
        const letter = { kind, term: undefined, bytes, deadlineMs: openMs };
        return { member: to, delivery: await messenger.deliver(to, letter, { signal: given }) };
      },
      connect: (member, channel) => this.#connect('sender', member, channel),
      encode: (part) => messenger.encode(part),
      decode: (reply) => messenger.decode(reply) as unknown as R,
    });
    const known = stream as OutgoingStream<B, unknown>;
    this.#sent.add(known);
    void stream.outcome.then(() => this.#sent.delete(known));
    return stream;
  }

  #connect(side: Side, member: string, channel: string): StreamEnd {
    const { namespace, group, token } = this.#parts;
    const { name, space } = namespace;
    const host =
      side === 'member' ? this.#parts.host : space.courier.towards({ group, member }, token);
    const place = { namespace: name, group, member, channel, side };
    return new StreamEnd({ host, clock: space.clock, ...place });
  }
}
