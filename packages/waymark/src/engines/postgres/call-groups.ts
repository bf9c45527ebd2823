import type { Clock } from '../../core/clock.js';
import { soon } from '../../core/soon.js';

export interface CallGroupsOptions<Q, A> {
  readonly clock: Clock;
  /** A group has at most so many calls. */
  readonly groupMax: number;
  /** So many groups are on their way at once. */
  readonly onTheirWayMax: number;
  /** @returns one answer for each, or an error that concerns it alone */
  send(calls: readonly Q[]): Promise<readonly (A | Error)[]>;
}

interface Waiting<Q, A> {
  readonly call: Q;
  resolve(answer: A): void;
  reject(error: unknown): void;
}

/** Calls of one kind that wait together go out as one statement. One that comes alone is sent at once. */
export class CallGroups<Q, A> {
  readonly #options: CallGroupsOptions<Q, A>;
  #waiting: Waiting<Q, A>[] = [];
  #groups = 0;
  #scheduled = false;

  constructor(options: CallGroupsOptions<Q, A>) {
    this.#options = options;
  }

  call(call: Q, signal: AbortSignal | undefined): Promise<A> {
    return new Promise((resolve, reject) => {
      const abort = (): void => waiting.reject((signal as AbortSignal).reason);
      const settled = (): void => signal?.removeEventListener('abort', abort);
      const waiting: Waiting<Q, A> = {
        call,
        resolve: (answer) => (settled(), resolve(answer)),
        reject: (error) => (settled(), reject(error as Error)),
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiting.push(waiting);
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#scheduled || this.#groups >= this.#options.onTheirWayMax) return;
    this.#scheduled = true;
    if (this.#groups === 0) soon(this.#pump);
    else this.#options.clock.nextTurn(this.#pump);
  }

  readonly #pump = (): void => {
    this.#scheduled = false;
    const { groupMax, onTheirWayMax } = this.#options;
    while (this.#groups < onTheirWayMax && this.#waiting.length > 0) {
      void this.#send(this.#waiting.splice(0, groupMax));
    }
  };

  async #send(group: readonly Waiting<Q, A>[]): Promise<void> {
    this.#groups++;
    try {
      const answers = await this.#options.send(group.map(({ call }) => call));
      for (const [index, { resolve, reject }] of group.entries()) {
        const answer = answers[index] as A | Error;
        if (answer instanceof Error) reject(answer);
        else resolve(answer);
      }
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
    this.#groups--;
    if (this.#waiting.length > 0) this.#schedule();
  }
}
