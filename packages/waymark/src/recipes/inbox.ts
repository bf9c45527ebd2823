import type { Clock } from '../core/clock.js';
import type { LeaseId } from '../core/engine.js';
import { limits } from '../core/limits.js';
import {
  type Answer,
  type Delivery,
  type Incoming,
  type Outgoing,
  refused,
  unknown,
} from './outgoing.js';

/** A member that asks for its messages no more is gone after so long: time for a connection to be made anew. */
const lingerMs = 5_000;
/** Messages handed out at once. */
const handfulMax = 64;

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

/** The messages for one member, and those it was handed and has not answered. */
export class Inbox {
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
