import type { Clock } from '../../core/clock.js';
import type { CommitOptions, Outcome, Revision, Txn } from '../../core/engine.js';
import { isWaymarkError, WaymarkError } from '../../core/errors.js';
import { soon } from '../../core/soon.js';
import { type Footprint, footprintOf, Footprints } from './footprint.js';
import { readAnswerBytes, readGroupBytes, writeGroupBytes, type WrittenTxn } from './txn-bytes.js';
import { txnSizeMax } from './txn-codec.js';

export interface CommitGroupsOptions {
  readonly clock: Clock;
  /** A key of etcd's that may be written. */
  readonly ownKey: Buffer;
  write(txn: Txn): WrittenTxn;
  /** @param answer  null: of loose puts */
  read(txn: Txn, answer: Buffer | null, revision: Revision): Outcome;
  /** @throws {WaymarkError} `uncertain` when it may have been applied; else it was not */
  send(request: Pick<WrittenTxn, 'bytes' | 'takesRoom'>, signal?: AbortSignal): Promise<Buffer>;
}

/** A group holds about so many bytes, well below etcd's 1.5 MiB. */
const groupBytesMax = 524_288;
/** So many groups are on their way at once. */
const onTheirWayMax = 4;
/** With so many commits on their way the next wait for those, or until they are a full group. */
const fewSent = 8;
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
 * as one transaction of etcd's (K1). One that conflicts with another that came before it is sent once that one is answered, so that what
 * one process writes to a key happens in the order it was called.
 *
 * A commit that comes alone is sent at once, and so are a few. Among many it waits for those on their way: what a group costs
 * etcd and this process beside its commits is ten to forty times what a commit adds, so groups of all that wait are cheaper than several
 * that take turns, by a third where callers do not keep step.
 */
export class CommitGroups {
  readonly #options: CommitGroupsOptions;
  readonly #onTheirWay = new Footprints();
  #waiting: Waiting[] = [];
  /** Of how many groups there is enough, 1 being a full one. */
  #gathered = 0;
  /** On their way: groups, and the commits in them. */
  #groups = 0;
  #sent = 0;
  /** So many commits were answered last. */
  #answered = 0;
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
      this.#gathered += shareOf(request);
      this.#schedule();
    });
  }

  /** Those that were not sent are certainly not applied. */
  close(): void {
    for (const waiting of this.#waiting.splice(0)) {
      refuse(waiting, new WaymarkError('unavailable', 'the engine is closed'));
    }
  }

  #schedule(): void {
    if (this.#scheduled || this.#groups >= onTheirWayMax) return;
    this.#scheduled = true;
    // Among others there is time to see what else this turn brings.
    if (this.#groups === 0 && this.#answered <= 1) soon(this.#pump);
    else this.#options.clock.nextTurn(this.#pump);
  }

  readonly #pump = (): void => {
    this.#scheduled = false;
    while (this.#groups < onTheirWayMax && this.#mayGo()) {
      const group = this.#gather();
      if (group.length === 0) return;
      void this.#send(group);
    }
  };

  #mayGo(): boolean {
    return this.#sent < fewSent || this.#gathered >= 1;
  }

  /** What goes out next, on its way from now on. */
  #gather(): Waiting[] {
    const group: Waiting[] = [];
    const passedOver = new Footprints();
    const rest: Waiting[] = [];
    const room = new GroupRoom();
    for (const [index, waiting] of this.#waiting.entries()) {
      if (index >= lookedAtMax || room.closed) rest.push(waiting);
      else if (this.#mustWait(waiting, passedOver) || !room.takes(waiting)) {
        rest.push(waiting);
        passedOver.add(waiting.footprint);
      } else {
        group.push(waiting);
        this.#gathered -= shareOf(waiting.request);
        this.#onTheirWay.add(waiting.footprint);
      }
    }
    this.#waiting = rest;
    return group;
  }

  #mustWait({ footprint }: Waiting, passedOver: Footprints): boolean {
    return this.#onTheirWay.conflictsWith(footprint) || passedOver.conflictsWith(footprint);
  }

  async #send(group: readonly Waiting[]): Promise<void> {
    this.#groups++;
    this.#sent += group.length;
    for (const waiting of group) waiting.sent = true;
    const [first] = group;
    if (group.length === 1 && first !== undefined) await this.#sendAlone(first);
    else await this.#sendGroup(group);
    for (const { footprint } of group) this.#onTheirWay.remove(footprint);
    this.#groups--;
    this.#sent -= group.length;
    this.#answered = group.length;
    if (this.#waiting.length > 0) this.#schedule();
  }

  async #sendGroup(group: readonly Waiting[]): Promise<void> {
    try {
      const requests = group.map(({ request }) => request);
      const bytes = writeGroupBytes(requests, this.#options.ownKey);
      const answer = await this.#options.send({ bytes, takesRoom: true });
      const { revision, answers } = readGroupBytes(requests, answer);
      for (const [index, waiting] of group.entries()) {
        this.#answer(waiting, answers[index] as Buffer | null, revision);
      }
    } catch (error) {
      // Refused as a whole, for the sake of one: each hears for itself. Sent again is only what was certainly not applied.
      if (isWaymarkError(error, 'uncertain') || isWaymarkError(error, 'unavailable')) {
        for (const waiting of group) refuse(waiting, error);
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
      refuse(waiting, error);
    }
  }

  #answer(waiting: Waiting, answer: Buffer | null, revision: Revision): void {
    if (!settles(waiting)) return;
    try {
      waiting.resolve(this.#options.read(waiting.txn, answer, revision));
    } catch (error) {
      waiting.reject(error);
    }
  }

  #abort(waiting: Waiting): void {
    const reason: unknown = (waiting.signal as AbortSignal).reason;
    if (!waiting.sent) {
      this.#waiting = this.#waiting.filter((other) => other !== waiting);
      this.#gathered -= shareOf(waiting.request);
      return refuse(waiting, reason);
    }
    const text = 'given up while etcd had it: it may have been applied';
    refuse(waiting, new WaymarkError('uncertain', text, {}, reason));
  }
}

/** Of a full group. The limits are powers of two: sums of shares are exact. */
function shareOf({ loosePuts, bytes }: WrittenTxn): number {
  return Math.max(Math.max(1, loosePuts) / txnSizeMax, bytes.length / groupBytesMax);
}

/** What a group has taken of etcd's limit, and of ours. */
class GroupRoom {
  closed = false;
  #operations = 0;
  #below = 0;
  #bytes = 0;

  /** Whether there was room for this one too. The first always fits. */
  takes({ request: { bytes, size, loosePuts }, alone }: Waiting): boolean {
    const operations = this.#operations + Math.max(1, loosePuts);
    const below = loosePuts > 0 ? this.#below : Math.max(this.#below, size);
    const first = this.#operations === 0;
    const fits = operations + below <= txnSizeMax && this.#bytes + bytes.length <= groupBytesMax;
    if (!first && (alone || !fits)) return false;
    this.#operations = operations;
    this.#below = below;
    this.#bytes += bytes.length;
    this.closed = alone || operations + below >= txnSizeMax;
    return true;
  }
}

function refuse(waiting: Waiting, error: unknown): void {
  if (settles(waiting)) waiting.reject(error);
}

/** Whether it was still to be told; from now on it is not. */
function settles(waiting: Waiting): boolean {
  if (waiting.settled) return false;
  waiting.settled = true;
  if (waiting.abort !== undefined) waiting.signal?.removeEventListener('abort', waiting.abort);
  return true;
}
