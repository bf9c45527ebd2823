import type { Clock } from '../../core/clock.js';
import type { CommitOptions, Outcome, Revision, Txn } from '../../core/engine.js';
import { isWaymarkError, WaymarkError } from '../../core/errors.js';
import { soon } from '../../core/soon.js';
import { type Footprint, footprintOf, Footprints } from './footprint.js';
import { readAnswerBytes, readNestedBytes, writeGroupBytes, type WrittenTxn } from './txn-bytes.js';
import { txnSizeMax } from './txn-codec.js';

export interface CommitGroupsOptions {
  readonly clock: Clock;
  /** A key of etcd's that may be written. */
  readonly ownKey: Buffer;
  write(txn: Txn): WrittenTxn;
  read(txn: Txn, answer: Buffer, revision: Revision): Outcome;
  /** @throws {WaymarkError} `uncertain` when it may have been applied; else it was not */
  send(request: Omit<WrittenTxn, 'size'>, signal?: AbortSignal): Promise<Buffer>;
}

/** A group holds so many commits and about so many bytes, well below etcd's 1.5 MiB. */
const groupMax = 100;
const groupBytesMax = 524_288;
/** So many groups are on their way at once: while one waits for its round of consensus the next is gathered. */
const onTheirWayMax = 4;
/** Of those that wait, so many are looked at for one group. */
const lookedAtMax = 1_024;

interface Waiting {
  readonly txn: Txn;
  readonly request: WrittenTxn;
  readonly footprint: Footprint;
  readonly alone: boolean;
  readonly signal: AbortSignal | undefined;
  resolve(outcome: Outcome): void;
  reject(error: unknown): void;
  settled: boolean;
  sent: boolean;
  readonly abort: (() => void) | undefined;
}

/**
 * Many small commits cost one round of consensus: those that wait, and of which none reads, checks or writes what another writes, go out
 * as one transaction of nested ones (K1). A commit that comes alone is sent at once. One that conflicts with another that came
 * before it is sent once that one is answered, so that what one process writes to a key happens in the order it was called.
 */
export class CommitGroups {
  readonly #options: CommitGroupsOptions;
  readonly #onTheirWay = new Footprints();
  #waiting: Waiting[] = [];
  #groups = 0;
  #scheduled = false;

  constructor(options: CommitGroupsOptions) {
    this.#options = options;
  }

  commit(txn: Txn, { signal, alone }: CommitOptions = {}): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const request = this.#options.write(txn);
      const abort = signal && ((): void => this.#abort(waiting));
      const waiting: Waiting = {
        txn,
        request,
        footprint: footprintOf(txn),
        alone: alone === true,
        signal,
        resolve,
        reject,
        settled: false,
        sent: false,
        abort,
      };
      if (abort !== undefined) signal?.addEventListener('abort', abort, { once: true });
      this.#waiting.push(waiting);
      this.#schedule();
    });
  }

  /** Those that were not sent are certainly not applied. */
  close(): void {
    for (const waiting of this.#waiting.splice(0)) {
      settle(waiting, () =>
        waiting.reject(new WaymarkError('unavailable', 'the engine is closed')),
      );
    }
  }

  #schedule(): void {
    if (this.#scheduled || this.#groups >= onTheirWayMax) return;
    this.#scheduled = true;
    // With others under way there is time to see what else this turn brings.
    if (this.#groups === 0) soon(this.#pump);
    else this.#options.clock.nextTurn(this.#pump);
  }

  readonly #pump = (): void => {
    this.#scheduled = false;
    while (this.#groups < onTheirWayMax) {
      const group = this.#gather();
      if (group.length === 0) return;
      void this.#send(group);
    }
  };

  #gather(): Waiting[] {
    const group: Waiting[] = [];
    const together = new Footprints();
    const passedOver = new Footprints();
    const rest: Waiting[] = [];
    const limit = { size: 0, bytes: 0, closed: false };
    for (const [index, waiting] of this.#waiting.entries()) {
      if (index >= lookedAtMax || limit.closed || this.#mustWait(waiting, together, passedOver)) {
        rest.push(waiting);
        if (index < lookedAtMax && !limit.closed) passedOver.add(waiting.footprint);
        continue;
      }
      const fits = group.length === 0 || fitsWith(waiting, group.length, limit);
      if (!fits) {
        rest.push(waiting);
        passedOver.add(waiting.footprint);
        continue;
      }
      group.push(waiting);
      together.add(waiting.footprint);
      limit.size = Math.max(limit.size, waiting.request.size);
      limit.bytes += waiting.request.bytes.length;
      limit.closed = waiting.alone || group.length >= groupMax;
    }
    this.#waiting = rest;
    return group;
  }

  #mustWait({ footprint }: Waiting, together: Footprints, passedOver: Footprints): boolean {
    return (
      this.#onTheirWay.conflictsWith(footprint) ||
      together.conflictsWith(footprint) ||
      passedOver.conflictsWith(footprint)
    );
  }

  async #send(group: readonly Waiting[]): Promise<void> {
    this.#groups++;
    for (const waiting of group) {
      waiting.sent = true;
      this.#onTheirWay.add(waiting.footprint);
    }
    const [first] = group;
    if (group.length === 1 && first !== undefined) await this.#sendAlone(first);
    else await this.#sendGroup(group);
    for (const { footprint } of group) this.#onTheirWay.remove(footprint);
    this.#groups--;
    if (this.#waiting.length > 0) this.#schedule();
  }

  async #sendGroup(group: readonly Waiting[]): Promise<void> {
    try {
      const requests = group.map(({ request: { bytes } }) => bytes);
      const request = writeGroupBytes(requests, this.#options.ownKey);
      const sent = { bytes: request, takesRoom: true };
      const { revision, responses } = readAnswerBytes(await this.#options.send(sent));
      for (const [index, waiting] of group.entries()) {
        this.#answer(waiting, readNestedBytes(responses[index]), revision);
      }
    } catch (error) {
      // Refused as a whole, for the sake of one: each hears for itself. Sent again is only what was certainly not applied.
      if (isWaymarkError(error, 'uncertain') || isWaymarkError(error, 'unavailable')) {
        for (const waiting of group) settle(waiting, () => waiting.reject(error));
      } else {
        await Promise.all(group.map(async (waiting) => await this.#sendAlone(waiting)));
      }
    }
  }

  async #sendAlone(waiting: Waiting): Promise<void> {
    if (waiting.settled) return;
    try {
      const answer = await this.#options.send(waiting.request, waiting.signal);
      this.#answer(waiting, answer, readAnswerBytes(answer).revision);
    } catch (error) {
      settle(waiting, () => waiting.reject(error));
    }
  }

  #answer(waiting: Waiting, answer: Buffer, revision: Revision): void {
    settle(waiting, () => {
      try {
        waiting.resolve(this.#options.read(waiting.txn, answer, revision));
      } catch (error) {
        waiting.reject(error);
      }
    });
  }

  #abort(waiting: Waiting): void {
    const reason: unknown = (waiting.signal as AbortSignal).reason;
    if (!waiting.sent) {
      this.#waiting = this.#waiting.filter((other) => other !== waiting);
      return settle(waiting, () => waiting.reject(reason));
    }
    const text = 'given up while etcd had it: it may have been applied';
    settle(waiting, () => waiting.reject(new WaymarkError('uncertain', text, {}, reason)));
  }
}

function fitsWith(
  { request: { size, bytes }, alone }: Waiting,
  count: number,
  limit: { readonly size: number; readonly bytes: number },
): boolean {
  if (alone || limit.bytes + bytes.length > groupBytesMax) return false;
  return count + 1 + Math.max(limit.size, size) <= txnSizeMax;
}

function settle(waiting: Waiting, tell: () => void): void {
  if (waiting.settled) return;
  waiting.settled = true;
  if (waiting.abort !== undefined) waiting.signal?.removeEventListener('abort', waiting.abort);
  tell();
}
