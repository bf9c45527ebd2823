import type { Clock, Random } from '../core/clock.js';
import type { ByteString, LeaseId } from '../core/engine.js';
import { limits } from '../core/limits.js';

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

/** A member that asks for its messages no more is gone after so long: time for a connection to be made anew. */
const lingerMs = 5_000;
/** Messages handed out at once. */
const handfulMax = 64;

/**
 * The inboxes of the members that take their messages at this host. At most once: a message is handed out one time, and its sender
 * learns what the member answered, or that nobody knows.
 */
export class Switchboard {
  readonly #clock: Clock;
  readonly #inboxes = new Map<string, Inbox>();
  /** It begins anywhere: an answer to a message of another host, or of this one before it was started anew, is the answer to none here. */
  #nextId: number;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#nextId = Math.floor(random.next() * 2 ** 52);
  }

  /** The member's next messages, as soon as there are any. A newer call ends an older one of the same member with none. */
  take(
    member: string,
    lease: LeaseId,
    signal: AbortSignal | undefined,
  ): Promise<readonly Incoming[]> {
    return this.#inbox(member, lease).take(signal);
  }

  /**
   * From now on messages wait for the member here.
   *
   * @param lease  the member's: whoever calls has looked
   * @param gone   resolves when the member is no more; looked at by the first call alone, until the inbox closes
   */
  open(member: string, lease: LeaseId, gone: (signal: AbortSignal) => Promise<void>): void {
    this.#inbox(member, lease).open(gone);
  }

  /** @returns whether the inbox was opened here under this lease, and is open */
  isOpen(member: string, lease: LeaseId): boolean {
    return this.#inboxes.get(member)?.lease === lease;
  }

  /** @returns false when the inbox is open under another lease: then nothing was answered */
  answer(member: string, lease: LeaseId, answers: readonly Answer[]): boolean {
    const inbox = this.#inboxes.get(member);
    if (inbox === undefined) return true;
    if (inbox.lease !== lease) return false;
    for (const answer of answers) inbox.answer(answer);
    return true;
  }

  /** The member leaves: what it has not taken is refused. Under another lease nothing happens. */
  leave(member: string, lease: LeaseId): void {
    if (this.isOpen(member, lease)) this.#inboxes.get(member)?.close();
  }

  /** @returns null when the member takes no messages here */
  send(
    member: string,
    message: Outgoing,
    { deadlineMs, signal }: Patience,
  ): Promise<Delivery> | null {
    const inbox = this.#inboxes.get(member);
    if (inbox === undefined || inbox.abandoned) return null;
    return inbox.send(message, { deadlineMs, signal });
  }

  /** The one under an earlier lease is closed: that life of the member is over. */
  #inbox(member: string, lease: LeaseId): Inbox {
    const known = this.#inboxes.get(member);
    if (known?.lease === lease) return known;
    known?.close();
    const id = (): number => this.#nextId++;
    const inbox = new Inbox(this.#clock, lease, id, () => this.#inboxes.delete(member));
    this.#inboxes.set(member, inbox);
    return inbox;
  }
}

/** How long its sender waits. */
export interface Patience {
  readonly deadlineMs: number;
  /** Aborts when the sender waits no more: what nobody has taken by then is never handed out. */
  readonly signal?: AbortSignal | undefined;
}

interface Waiting {
  readonly message: Incoming;
  readonly settle: (delivery: Delivery) => void;
}

class Inbox {
  readonly lease: LeaseId;
  readonly #clock: Clock;
  readonly #gone: () => void;
  readonly #id: () => number;
  #queued: Waiting[] = [];
  #queuedBytes = 0;
  readonly #handed = new Map<number, Waiting>();
  /** Ends the wait of who asks for messages. */
  #wake: () => void = () => {};
  #turn = 0;
  #stopLinger: () => void = () => {};
  #opened = false;
  /** Nobody has asked for messages for long: no more are taken, and what was handed out may still be answered. */
  abandoned = false;
  readonly #closed = new AbortController();

  constructor(clock: Clock, lease: LeaseId, id: () => number, gone: () => void) {
    this.#clock = clock;
    this.lease = lease;
    this.#id = id;
    this.#gone = gone;
  }

  open(gone: (signal: AbortSignal) => Promise<void>): void {
    if (this.#opened) return;
    this.#opened = true;
    this.#linger();
    // Where that cannot be told, the member asks no more, which closes it as well.
    gone(this.#closed.signal).then(
      () => this.close(),
      () => undefined,
    );
  }

  async take(signal: AbortSignal | undefined): Promise<readonly Incoming[]> {
    const turn = ++this.#turn;
    this.abandoned = false;
    this.#stopLinger();
    this.#wake();
    if (this.#queued.length === 0 && !this.#closed.signal.aborted) {
      const stop = (): void => this.#wake();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        signal?.addEventListener('abort', stop, { once: true });
        if (signal?.aborted === true) resolve();
      });
      signal?.removeEventListener('abort', stop);
    }
    if (turn !== this.#turn) return [];
    this.#linger();
    signal?.throwIfAborted();
    return this.#handOut();
  }

  /** Closes it, unless somebody asks for messages by then. */
  #linger(): void {
    this.#stopLinger();
    if (this.#closed.signal.aborted) return;
    this.#stopLinger = this.#clock.after(lingerMs, () => {
      this.abandoned = true;
      this.#refuseQueued();
      this.#closeIfDone();
    });
  }

  send(message: Outgoing, { deadlineMs, signal }: Patience): Promise<Delivery> {
    const { from, guest, kind, term, body } = message;
    const bytes = body.length;
    const { inboxMessagesMax, inboxBytesMax } = limits;
    if (
      this.#queued.length >= inboxMessagesMax ||
      (this.#queuedBytes > 0 && this.#queuedBytes + bytes > inboxBytesMax)
    ) {
      return Promise.resolve(refused('its inbox is full: it takes messages slower than they come'));
    }
    const id = this.#id();
    return new Promise((resolve, reject) => {
      const late = (): void => {
        signal?.removeEventListener('abort', leave);
        const handed = this.#handed.delete(id);
        this.#forget(id);
        const why = `no answer within ${deadlineMs} ms`;
        resolve(handed ? unknown(why) : refused(why));
        this.#closeIfDone();
      };
      const leave = (): void => {
        disarm();
        this.#handed.delete(id);
        this.#forget(id);
        reject(signal?.reason as Error);
        this.#closeIfDone();
      };
      const disarm = this.#clock.after(deadlineMs, late);
      signal?.addEventListener('abort', leave, { once: true });
      const settle = (delivery: Delivery): void => {
        disarm();
        signal?.removeEventListener('abort', leave);
        resolve(delivery);
      };
      this.#queued.push({ message: { id, from, guest, kind, term, body }, settle });
      this.#queuedBytes += bytes;
      this.#wake();
    });
  }

  answer({ id, taken, seen, body, why }: Answer): void {
    const waiting = this.#handed.get(id);
    this.#handed.delete(id);
    waiting?.settle({ outcome: taken ? 'delivered' : 'refused', seen, body, why });
    this.#closeIfDone();
  }

  close(): void {
    if (this.#closed.signal.aborted) return;
    this.#closed.abort();
    this.#stopLinger();
    this.#gone();
    this.#refuseQueued();
    for (const { settle } of this.#handed.values()) settle(unknown('the member is gone'));
    this.#handed.clear();
    this.#wake();
  }

  /** Every message that was handed out is answered, or late. */
  #closeIfDone(): void {
    if (this.abandoned && this.#handed.size === 0) this.close();
  }

  #refuseQueued(): void {
    for (const { settle } of this.#queued) settle(refused('the member has left'));
    this.#queued = [];
    this.#queuedBytes = 0;
  }

  #handOut(): readonly Incoming[] {
    const handful = this.#queued.splice(0, handfulMax);
    for (const waiting of handful) {
      this.#queuedBytes -= waiting.message.body.length;
      this.#handed.set(waiting.message.id, waiting);
    }
    return handful.map(({ message }) => message);
  }

  #forget(id: number): void {
    const at = this.#queued.findIndex(({ message }) => message.id === id);
    if (at < 0) return;
    this.#queuedBytes -= this.#queued[at]?.message.body.length ?? 0;
    this.#queued.splice(at, 1);
  }
}

export function refused(why: string): Delivery {
  return { outcome: 'refused', seen: false, body: '', why };
}

export function unknown(why: string): Delivery {
  return { outcome: 'unknown', seen: true, body: '', why };
}
