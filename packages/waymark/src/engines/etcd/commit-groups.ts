import type { Clock } from '../../core/clock.js';
import type { ByteString, CommitOptions, Outcome, Revision, Txn } from '../../core/engine.js';
import { isWaymarkError, WaymarkError } from '../../core/errors.js';
import { soon } from '../../core/soon.js';
import { type Footprint, footprintOf, Footprints } from './footprint.js';
import { groupBytesMax, type PartAnswer, TxnGroup } from './group-bytes.js';
import { readAnswerBytes, type WrittenTxn } from './txn-bytes.js';
import { txnSizeMax } from './txn-codec.js';

export interface CommitGroupsOptions {
  readonly clock: Clock;
  /** A key of etcd's that may be written. */
  readonly ownKey: ByteString;
  write(txn: Txn): WrittenTxn;
  read(txn: Txn, answer: PartAnswer, revision: Revision): Outcome;
  /** @throws {WaymarkError} `uncertain` when it may have been applied; else it was not */
  send(request: SentTxn, signal?: AbortSignal): Promise<Buffer>;
  /** What a commit hears instead of why etcd refused it. */
  explain(error: unknown, txn: Txn): Promise<unknown>;
}

export interface SentTxn {
  readonly bytes: ByteString;
  readonly takesRoom: boolean;
  /** It is of many commits. */
  readonly busy: boolean;
}

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
      if (group.commits.length === 0) return;
      void this.#send(group);
    }
  };

  #mayGo(): boolean {
    return this.#sent < fewSent || this.#gathered >= 1;
  }

  /** What goes out next, on its way from now on. */
  #gather(): Group {
    const group: Group = { commits: [], txn: new TxnGroup() };
    const passedOver = new Footprints();
    const rest: Waiting[] = [];
    for (const [index, waiting] of this.#waiting.entries()) {
      if (index >= lookedAtMax || group.txn.closed) rest.push(waiting);
      else if (this.#mustWait(waiting, passedOver) || !takes(group, waiting)) {
        rest.push(waiting);
        passedOver.add(waiting.footprint);
      } else {
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

  async #send(group: Group): Promise<void> {
    const { commits } = group;
    this.#groups++;
    this.#sent += commits.length;
    for (const waiting of commits) waiting.sent = true;
    const [first] = commits;
    if (commits.length === 1 && first !== undefined) await this.#sendAlone(first);
    else await this.#sendGroup(group);
    for (const { footprint } of commits) this.#onTheirWay.remove(footprint);
    this.#groups--;
    this.#sent -= commits.length;
    this.#answered = commits.length;
    if (this.#waiting.length > 0) this.#schedule();
  }

  async #sendGroup({ commits, txn }: Group): Promise<void> {
    try {
      const bytes = txn.write(this.#options.ownKey);
      const busy = commits.length > fewSent;
      const { revision, answers } = txn.read(
        await this.#options.send({ bytes, takesRoom: true, busy }),
      );
      for (const [index, waiting] of commits.entries()) {
        this.#answer(waiting, answers[index] as PartAnswer, revision);
      }
    } catch (error) {
      // Refused as a whole, for the sake of one: each hears for itself. Sent again is only what was certainly not applied.
      if (isWaymarkError(error, 'uncertain') || isWaymarkError(error, 'unavailable')) {
        for (const waiting of commits) this.#refuse(waiting, error);
      } else {
        await Promise.all(commits.map(async (waiting) => await this.#sendAlone(waiting)));
      }
    }
  }

  async #sendAlone(waiting: Waiting): Promise<void> {
    if (waiting.settled) return;
    try {
      const { checks, operations, takesRoom } = waiting.request;
      const sent = { bytes: checks + operations, takesRoom, busy: false };
      const answer = await this.#options.send(sent, waiting.signal);
      this.#answer(waiting, answer, readAnswerBytes(answer).revision);
    } catch (error) {
      this.#refuse(waiting, error);
    }
  }

  #refuse(waiting: Waiting, error: unknown): void {
    if (!settles(waiting)) return;
    this.#options.explain(error, waiting.txn).then(waiting.reject, waiting.reject);
  }

  #answer(waiting: Waiting, answer: PartAnswer, revision: Revision): void {
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

interface Group {
  readonly commits: Waiting[];
  readonly txn: TxnGroup;
}

/** Whether there was room for it. */
function takes({ commits, txn }: Group, waiting: Waiting): boolean {
  if (waiting.alone && commits.length > 0) return false;
  if (!txn.takes(waiting.request)) return false;
  if (waiting.alone) txn.closed = true;
  commits.push(waiting);
  return true;
}

/** Of a full group. The limits are powers of two: sums of shares are exact. */
function shareOf({ puts, checks, operations }: WrittenTxn): number {
  const bytes = checks.length + operations.length;
  return Math.max(Math.max(1, puts) / txnSizeMax, bytes / groupBytesMax);
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
