import { type ErrorCode, isWaymarkError } from '../core/errors.js';
import type { ElectionKind } from '../recipes/election.js';
import { HeldTerm } from './election.js';
import { giveBack } from './give-back.js';
import type { Held } from './held.js';
import type { HostNamespace } from './namespace.js';
import { pause } from '../core/pause.js';
import type { KeptLease } from './types.js';

export interface CandidacyParts {
  readonly namespace: HostNamespace<unknown>;
  readonly path: string;
  readonly kind: ElectionKind;
  readonly ttlMs?: number | undefined;
  readonly owner: string | undefined;
  /** Written beside the name in the leader's mark; as bytes. */
  readonly says?: string | undefined;
  /** Stands under this lease or not at all. */
  readonly lease?: KeptLease | undefined;
  /** The work of a term, until the signal aborts: the term is lost or resigned, or it stands no longer. Then the term is resigned. */
  readonly lead: (term: HeldTerm<unknown>, signal: AbortSignal) => Promise<void>;
}

/** After a failure; a term that was lost is campaigned for again at once by the engine's own waiting. */
const retryMs = 200;

/** What trying again cannot mend. */
const final: readonly ErrorCode[] = [
  'invalid',
  'too_large',
  'denied',
  'unauthenticated',
  'superseded',
];

/**
 * Stands in an election in the background, term after term, until it is ended or the space closes. Each stands under a session of its
 * own: two in one process wait for each other as if they were in two.
 */
export class Candidacy {
  /** Resolves once it stands no longer and its term is resigned; rejects with what trying again cannot mend. */
  readonly done: Promise<void>;
  readonly #parts: CandidacyParts;
  readonly #ended = new AbortController();
  readonly #signal: AbortSignal;
  readonly #waiting = new Set<(term: HeldTerm<unknown>) => void>();
  #term: HeldTerm<unknown> | null = null;

  constructor(parts: CandidacyParts) {
    this.#parts = parts;
    this.#signal = AbortSignal.any([parts.namespace.space.closing, this.#ended.signal]);
    this.done = this.#run();
    this.done.catch(() => undefined);
  }

  /** The term that stands, by the local clock. */
  get term(): HeldTerm<unknown> | null {
    return this.#term?.isHeld() === true ? this.#term : null;
  }

  /** The term that stands, or the next one. @throws the signal's reason; what ended the candidacy */
  async elected(signal: AbortSignal): Promise<HeldTerm<unknown>> {
    if (this.term !== null) return this.term;
    const over = AbortSignal.any([signal, this.#signal]);
    over.throwIfAborted();
    return await new Promise((resolve, reject) => {
      const abort = (): void => {
        this.#waiting.delete(told);
        reject(over.reason as Error);
      };
      const told = (term: HeldTerm<unknown>): void => {
        over.removeEventListener('abort', abort);
        resolve(term);
      };
      over.addEventListener('abort', abort, { once: true });
      this.#waiting.add(told);
    });
  }

  /** It stands no longer; `done` tells when all is given back. */
  end(reason?: unknown): void {
    this.#ended.abort(reason);
  }

  async #run(): Promise<void> {
    const { clock } = this.#parts.namespace.space;
    while (!this.#signal.aborted) {
      try {
        await this.#campaignAndLead();
      } catch (error) {
        if (this.#signal.aborted) return;
        if (final.some((code) => isWaymarkError(error, code))) throw error;
        await pause(clock, retryMs, this.#signal).catch(() => undefined);
      }
    }
  }

  async #campaignAndLead(): Promise<void> {
    const over = new AbortController();
    const term = await this.#campaign(() => over.abort());
    if (term === null) return;
    this.#term = term;
    for (const told of this.#waiting) told(term);
    this.#waiting.clear();
    try {
      await this.#parts.lead(term, AbortSignal.any([over.signal, this.#signal]));
    } finally {
      this.#term = null;
      await giveBack(this.#parts.namespace.space.clock, term);
    }
  }

  /** @param over  told when the term is lost, or resigned by whoever has it in hand */
  async #campaign(over: () => void): Promise<HeldTerm<unknown> | null> {
    const { namespace, path, kind, ttlMs, owner, says, lease } = this.#parts;
    const givenUp = new AbortController();
    const signal = AbortSignal.any([this.#signal, givenUp.signal]);
    let asking: Promise<unknown> | undefined;
    const holding = namespace.space.holder.hold({
      path,
      call: { ttlMs, owner, signal },
      lease,
      ask: (asker) => {
        const args = { ...asker, session: asker.id, path, says, waitMs: undefined };
        const campaigning = namespace.host.run(kind.campaign, namespace.name, args, { signal });
        asking = campaigning;
        return campaigning;
      },
      giveUp: ({ id }) => namespace.host.run(kind.resign, namespace.name, { id, path }),
      make: (parts, asker) => {
        const ended = (term: Held): void => {
          parts.ended(term);
          over();
        };
        const own = { ...asker, session: asker.id };
        return new HeldTerm<unknown>({ ...parts, ended }, own, namespace, kind);
      },
    });
    try {
      return await holding;
    } catch (error) {
      // It may be granted the term all the same: it stands no longer once that is given back.
      givenUp.abort(error);
      await asking?.catch(() => undefined);
      throw error;
    }
  }
}

/** The work of who leads and does nothing but that. */
export async function untilOver(_term: HeldTerm<unknown>, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) =>
    signal.addEventListener('abort', () => resolve(), { once: true }),
  );
}
