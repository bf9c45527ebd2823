import type { Call } from './types.js';

/** The public types of messages to members. Rules X1 to X8 in docs/spec/messaging.md. */

export interface Message<B = unknown> {
  /** The id of the member who sent it; of a guest, the owner name of its space or of its handle on the group. */
  readonly from: string;
  /** Sent by who is no member: over a handle on the group, REST or the command. */
  readonly guest: boolean;
  readonly kind: 'send' | 'broadcast';
  /** The term it was sent to; null for what was not sent to the leader. */
  readonly term: number | null;
  readonly body: B;
}

/** Its return value is the reply; what it throws is told to the sender as the reason of a refusal. */
export type Handler<B = unknown> = (message: Message<B>) => unknown;

export interface SendCall extends Call {
  /** From the call to the reply, up to 600 000; default 10 000. */
  readonly deadlineMs?: number | undefined;
}

export interface BroadcastCall extends SendCall {
  /** Default false: the own member gets it as well. Nothing to a guest. */
  readonly skipSelf?: boolean | undefined;
  /** Only these members, by id. */
  readonly only?: readonly string[] | undefined;
}

/** What became of a message to one member. */
export type Reply<R = unknown> =
  | { readonly outcome: 'delivered'; readonly member: string; readonly value: R }
  | {
      /** `refused`: it had no effect but what the handler had before it refused; `unknown`: nobody knows. */
      readonly outcome: 'refused' | 'unknown';
      /** Null when there was nobody to send it to. */
      readonly member: string | null;
      /** Whether a handler may have seen it. */
      readonly seen: boolean;
      readonly why: string;
    };

export interface Messages<B = unknown> {
  /** To the leader, pinned to its term; waits for one, and tries anew where no handler has seen it, until the deadline. */
  send<R = unknown>(body: B, call?: SendCall): Promise<Reply<R>>;
  sendTo<R = unknown>(member: string, body: B, call?: SendCall): Promise<Reply<R>>;
  /** To every member of the group as it is now: one reply each, as they come. @throws {WaymarkError} `timeout` when nobody tells who that is */
  broadcast<R = unknown>(body: B, call?: BroadcastCall): AsyncIterableIterator<Reply<R>>;
}
