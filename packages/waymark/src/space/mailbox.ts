import type { LeaseId } from '../core/engine.js';
import type { Clock } from '../core/clock.js';
import { unanswered } from '../core/errors.js';
import { pause } from '../core/pause.js';
import type { Host } from '../core/host.js';
import * as calls from '../recipes/messages.js';
import { type Answer, type Incoming, opensStream } from '../recipes/outgoing.js';

export interface MailboxParts {
  /** Where it takes its messages. */
  readonly host: Pick<Host, 'run'>;
  readonly clock: Clock;
  readonly namespace: string;
  readonly group: string;
  readonly member: string;
  readonly lease: LeaseId;
  /** @returns why a message is not for it now: its handler never sees it then */
  readonly refuse: (message: Incoming) => string | undefined;
  /** @returns the reply; what it throws is told to the sender */
  readonly handle: (message: Incoming) => Promise<string>;
}

/** Of what a sender is told about a refusal. */
const whyMax = 1_000;
/** Of answers in one call, unless one alone is larger. */
const answersBytesMax = 1_048_576;
/** After its host was out of reach, or had too much to do. */
const againMs = 100;

/** Takes a member's messages one handful after the other, and answers each as soon as its handler is done. */
export class Mailbox {
  /** Resolves when messages wait for the member; rejects when they cannot. */
  readonly opened: Promise<void>;
  /** Resolves when it has ended and every handler is done. */
  readonly closed: Promise<void>;
  readonly #parts: MailboxParts;
  readonly #ended = new AbortController();
  readonly #handling = new Set<Promise<void>>();
  /** Not brought yet. */
  #answers: Answer[] = [];
  /** The next request for messages is about to take along what is answered. */
  #collecting = false;
  #bringing: Promise<void> | null = null;

  constructor(parts: MailboxParts) {
    this.#parts = parts;
    this.opened = this.#open();
    this.closed = this.opened.then(
      () => this.#run(),
      () => undefined,
    );
  }

  /** Takes no more; what is being handled is answered. */
  async close(): Promise<void> {
    this.#ended.abort();
    await this.closed;
  }

  async #open(): Promise<void> {
    const { host, namespace, group, member, lease } = this.#parts;
    await host.run(calls.open, namespace, { group, member, lease });
  }

  async #run(): Promise<void> {
    const { host, clock, namespace, group, member, lease } = this.#parts;
    const { signal } = this.#ended;
    while (!signal.aborted) {
      const answers = this.#some();
      this.#collecting = false;
      if (this.#answers.length > 0) void this.#bring();
      try {
        const args = { group, member, lease, answers };
        const messages = await host.run(calls.take, namespace, args, { signal });
        this.#collecting = true;
        // What is answered at once goes along: one call a handful, not one more for each message.
        await Promise.race([
          Promise.all(messages.map((message) => this.#begin(message))),
          new Promise<void>((resolve) => clock.nextTurn(resolve)),
        ]);
      } catch (error) {
        // It may not have arrived. A second answer to one message is ignored.
        this.#answers.unshift(...answers);
        // A lease that has ended ends the membership.
        if (signal.aborted || !unanswered(error)) break;
        await pause(clock, againMs, signal).catch(() => undefined);
      }
    }
    this.#collecting = false;
    await Promise.allSettled(this.#handling);
    await this.#bring();
    await host.run(calls.leave, namespace, { group, member, lease }).catch(() => undefined);
  }

  #begin(message: Incoming): Promise<void> {
    const handling = this.#handle(message).finally(() => this.#handling.delete(handling));
    this.#handling.add(handling);
    return handling;
  }

  async #answerTo(message: Incoming): Promise<Answer> {
    const { refuse, handle } = this.#parts;
    const { id } = message;
    const why = refuse(message);
    if (why !== undefined) return { id, taken: false, seen: false, body: '', why };
    try {
      return { id, taken: true, seen: true, body: await handle(message), why: '' };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      // The opening of a stream is answered before its handler begins.
      const seen = !opensStream(message);
      return { id, taken: false, seen, body: '', why: reason.slice(0, whyMax) };
    }
  }

  async #handle(message: Incoming): Promise<void> {
    const answer = await this.#answerTo(message);
    this.#answers.push(answer);
    if (!this.#collecting) await (this.#bringing ??= this.#bring());
  }

  /** Answers that fit one call. */
  #some(): Answer[] {
    let bytes = 0;
    const many = this.#answers.findIndex(({ body }, at) => {
      bytes += body.length;
      return at > 0 && bytes > answersBytesMax;
    });
    return this.#answers.splice(0, many < 0 ? this.#answers.length : many);
  }

  /** What is answered in one turn goes in one call. */
  async #bring(): Promise<void> {
    const { host, namespace, group, member, lease } = this.#parts;
    await Promise.resolve();
    this.#bringing = null;
    for (let answers = this.#some(); answers.length > 0; answers = this.#some()) {
      const args = { group, member, answers, lease };
      // An answer that cannot be brought is unknown to the sender, who has a deadline.
      await host.run(calls.reply, namespace, args).catch(() => undefined);
    }
  }
}
