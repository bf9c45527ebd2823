import type { Clock, Random } from '../core/clock.js';
import type { LeaseId } from '../core/engine.js';
import { Inbox, type Patience } from './inbox.js';
import type { Answer, Delivery, Incoming, Outgoing } from './outgoing.js';

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
