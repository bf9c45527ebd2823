import type { ByteString } from '../core/engine.js';

/** A message on its way to a member. */
export interface Outgoing {
  readonly from: string;
  /** Its sender is no member. */
  readonly guest: boolean;
  readonly kind: MessageKind;
  /** The term it is meant for: whoever leads another refuses it. */
  readonly term: number | undefined;
  readonly body: ByteString;
}

/** The streams' kinds open a stream: what is answered then is the channel it goes through. */
export const messageKinds = ['send', 'broadcast', 'sendStream', 'broadcastStream'] as const;
export type MessageKind = (typeof messageKinds)[number];

/** Whether it is the opening of a stream. */
export function opensStream({ kind }: Incoming): boolean {
  return kind === 'sendStream' || kind === 'broadcastStream';
}

/** A message as it is handed to the member, who answers by its id. */
export interface Incoming extends Outgoing {
  readonly id: number;
}

/**
 * What became of a message. `refused`: no handler saw it, or the handler said no; `unknown`: it was handed out, and no answer came.
 */
export interface Delivery {
  readonly outcome: 'delivered' | 'refused' | 'unknown';
  /** Whether a handler may have seen it: a refusal that none saw is worth another try. */
  readonly seen: boolean;
  /** The handler's reply, empty unless delivered. */
  readonly body: ByteString;
  /** For people: why it was not. */
  readonly why: string;
}

export interface Answer {
  readonly id: number;
  readonly taken: boolean;
  readonly seen: boolean;
  readonly body: ByteString;
  readonly why: string;
}

export function refused(why: string): Delivery {
  return { outcome: 'refused', seen: false, body: '', why };
}

export function unknown(why: string): Delivery {
  return { outcome: 'unknown', seen: true, body: '', why };
}
