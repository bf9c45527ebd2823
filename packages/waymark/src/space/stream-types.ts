import type { SendCall } from './message-types.js';

/** The public types of streams between members. Rules X10 to X17 in docs/spec/messaging.md. */

/**
 * What a sender streams, as its handler gets it: each part once, in order. Iterating it ends when the sender has ended it, and throws when
 * it was cut off: `failed` with the words of a sender whose parts threw, `lost` when the sender gave up or is gone, `timeout`.
 */
export interface MessageStream<B = unknown> extends AsyncIterable<B> {
  /** The member who sends it. */
  readonly from: string;
  readonly kind: 'send' | 'broadcast';
  /** The term it was opened for; null for what was not sent to the leader. It is cut off when the member leads that term no longer. */
  readonly term: number | null;
  /** Aborts when the stream is cut off, with what iterating it throws. */
  readonly signal: AbortSignal;
}

/**
 * What it yields goes back to the sender, part by part; what it throws is told to the sender as the reason of a refusal. Once the stream is
 * cut off it is returned from where it yields.
 */
export type StreamHandler<B = unknown> = (stream: MessageStream<B>) => AsyncIterable<unknown>;

/** `deadlineMs` is of the whole stream, up to 600 000; default 60 000. */
export interface StreamCall extends SendCall {
  /** To this member; default: to the leader, pinned to its term. */
  readonly to?: string | undefined;
}

export interface BroadcastStreamCall extends SendCall {
  /** Default false: the own member gets it as well. */
  readonly skipSelf?: boolean | undefined;
  /** Only these members, by id. */
  readonly only?: readonly string[] | undefined;
}

/** What became of a stream to one member. */
export type StreamOutcome =
  | {
      /** The handler returned, and all that it yielded has come back. */
      readonly outcome: 'delivered';
      readonly member: string;
    }
  | {
      /** `refused`: not taken, or the handler threw; `unknown`: cut off in the middle. */
      readonly outcome: 'refused' | 'unknown';
      /** Null when there was nobody to send it to. */
      readonly member: string | null;
      /** Whether a handler may have seen it. */
      readonly seen: boolean;
      readonly why: string;
    };

/**
 * The replies, as they come. Iterating ends when the whole answer is there, and throws where it is not: the error of the own parts, the
 * reason of the own signal, `failed` when it was refused, `uncertain` when its outcome is unknown, `timeout`. Leaving the loop gives the stream up.
 */
export interface SentStream<R = unknown> extends AsyncIterableIterator<R> {
  /** Resolves when the stream is over; never rejects. A handler whose replies nobody reads waits. */
  readonly outcome: Promise<StreamOutcome>;
}

/** A reply of one member to a broadcast stream. */
export interface StreamReply<R = unknown> {
  readonly member: string;
  readonly part: R;
}

export interface Streams<B = unknown> {
  /**
   * Streams parts to the leader, or to one member, and gives what its handler yields. The parts are asked for as fast as the handler takes
   * them, from when it was opened on: at most some 300, or 1 MiB, are under way in either direction.
   *
   * @throws {WaymarkError} `invalid` for a deadline that cannot be, `lost` when the membership is over
   */
  sendStream<R = unknown>(parts: AsyncIterable<B> | Iterable<B>, call?: StreamCall): SentStream<R>;
  /**
   * The same parts to every member of the group as it is now: their replies as they come, and for each member its outcome, last. The slowest
   * of them sets the pace. Throws what the parts throw.
   */
  broadcastStream<R = unknown>(
    parts: AsyncIterable<B> | Iterable<B>,
    call?: BroadcastStreamCall,
  ): AsyncIterableIterator<StreamReply<R> | StreamOutcome>;
}
