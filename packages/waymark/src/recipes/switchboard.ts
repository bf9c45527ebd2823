import type { Clock, Random } from '../core/clock.js';
import type { ByteString } from '../core/engine.js';
import { limits } from '../core/limits.js';

/** A message on its way to a member. */
export interface Outgoing {
  readonly from: string;
  readonly kind: MessageKind;
  /** The term it is meant for: whoever leads another refuses it. */
  readonly term: number | undefined;
  readonly body: ByteString;
}

export type MessageKind = 'send' | 'broadcast';

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
  take(member: string, signal: AbortSignal | undefined): Promise<readonly Incoming[]> {
    return this.#inbox(member).take(signal);
  }

  /** From now on messages wait for the member here. */
  open(member: string): void {
    this.#inbox(member).linger();
  }

  answer(member: string, answers: readonly Answer[]): void {
    const inbox = this.#inboxes.get(member);
    for (const answer of answers) inbox?.answer(answer);
  }

  /** The member leaves: what it has not taken is refused. */
  leave(member: string): void {
    this.#inboxes.get(member)?.close();
  }

  /** @returns null when the member takes no messages here */
  send(member: string, message: Outgoing, deadlineMs: number): Promise<Delivery> | null {
    return this.#inboxes.get(member)?.send(message, deadlineMs) ?? null;
  }

  #inbox(member: string): Inbox {
    let inbox = this.#inboxes.get(member);
    if (inbox === undefined) {
      const id = (): number => this.#nextId++;
      inbox = new Inbox(this.#clock, id, () => this.#inboxes.delete(member));
      this.#inboxes.set(member, inbox);
    }
    return inbox;
  }
}

interface Waiting {
  readonly message: Incoming;
  readonly settle: (delivery: Delivery) => void;
}

class Inbox {
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
  #closed = false;

  constructor(clock: Clock, id: () => number, gone: () => void) {
    this.#clock = clock;
    this.#id = id;
    this.#gone = gone;
  }

  async take(signal: AbortSignal | undefined): Promise<readonly Incoming[]> {
    const turn = ++this.#turn;
    this.#stopLinger();
    this.#wake();
    if (this.#queued.length === 0 && !this.#closed) {
      const stop = (): void => this.#wake();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        signal?.addEventListener('abort', stop, { once: true });
        if (signal?.aborted === true) resolve();
      });
      signal?.removeEventListener('abort', stop);
    }
    if (turn !== this.#turn) return [];
    this.linger();
    signal?.throwIfAborted();
    return this.#handOut();
  }

  /** Closes it, unless somebody asks for messages by then. */
  linger(): void {
    this.#stopLinger();
    if (!this.#closed) this.#stopLinger = this.#clock.after(lingerMs, () => this.close());
  }

  send({ from, kind, term, body }: Outgoing, deadlineMs: number): Promise<Delivery> {
    const bytes = body.length;
    const { inboxMessagesMax, inboxBytesMax } = limits;
    if (
      this.#queued.length >= inboxMessagesMax ||
      (this.#queuedBytes > 0 && this.#queuedBytes + bytes > inboxBytesMax)
    ) {
      return Promise.resolve(refused('its inbox is full: it takes messages slower than they come'));
    }
    const id = this.#id();
    return new Promise((resolve) => {
      const late = (): void => {
        const handed = this.#handed.delete(id);
        this.#forget(id);
        const why = `no answer within ${deadlineMs} ms`;
        resolve(handed ? { outcome: 'unknown', seen: true, body: '', why } : refused(why));
      };
      const disarm = this.#clock.after(deadlineMs, late);
      const settle = (delivery: Delivery): void => {
        disarm();
        resolve(delivery);
      };
      this.#queued.push({ message: { id, from, kind, term, body }, settle });
      this.#queuedBytes += bytes;
      this.#wake();
    });
  }

  answer({ id, taken, seen, body, why }: Answer): void {
    const waiting = this.#handed.get(id);
    this.#handed.delete(id);
    waiting?.settle({ outcome: taken ? 'delivered' : 'refused', seen, body, why });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopLinger();
    this.#gone();
    for (const { settle } of this.#queued) settle(refused('the member has left'));
    this.#queued = [];
    this.#wake();
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
