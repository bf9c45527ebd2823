import type { Clock } from '../../core/clock.js';
import { WaymarkError } from '../../core/errors.js';

/**
 * Work under way at a server, with a bound on all of it. What finds no room waits for its turn, oldest first, and is refused when it has
 * waited too long. To refuse at once would be simpler; but an answer that says no costs not much less than one that says yes, and who asks
 * again at once would have the server say nothing else. Who waits asks nothing meanwhile, so the work that is done stays what it was.
 * What waits is bounded as what is under way is.
 */

export interface AdmissionLimits {
  /** Calls under way; four times as many may wait. Default 10 000. */
  readonly inFlightMax: number;
  /** Bytes of these calls, and of those that wait. Default 128 MiB. */
  readonly inFlightBytesMax: number;
  /** How long a call waits for its turn. Default 250. */
  readonly inFlightWaitMs: number;
}

export const defaultAdmission: AdmissionLimits = {
  inFlightMax: 10_000,
  inFlightBytesMax: 134_217_728,
  inFlightWaitMs: 250,
};

/** A call that waits. */
export interface Turn {
  readonly bytes: number;
  /** It counts from now on: `leave` is called once it is over. */
  readonly begin: () => void;
  readonly refused: (error: WaymarkError) => void;
}

interface Waiting extends Turn {
  readonly until: number;
}

/** With them a server has five times the callers that it serves at once, and refuses none of them in haste. */
const waitingEach = 4;

/** Clients that obey come back after so long. */
const retryAfterMs = 1_000;

export class Admission {
  /** Calls refused so far. */
  refused = 0;
  calls = 0;
  readonly #clock: Clock;
  readonly limits: AdmissionLimits;
  #bytes = 0;
  #queue: (Waiting | null)[] = [];
  /** The first that still waits: what is before it had its turn. */
  #first = 0;
  #waitingBytes = 0;
  #armed = false;
  #serving = false;

  constructor(clock: Clock, limits: Partial<AdmissionLimits> = {}) {
    this.#clock = clock;
    this.limits = { ...defaultAdmission, ...limits };
  }

  get waiting(): number {
    return this.#queue.length - this.#first;
  }

  /** @returns whether it may begin; else it waits for its turn */
  enter(bytes: number): boolean {
    if (this.waiting > 0 || !this.#hasRoom(bytes)) return false;
    this.#count(bytes);
    return true;
  }

  /** @returns why a call is refused whatever it is, and counts that; null: it begins, or waits */
  refusal(): WaymarkError | null {
    return this.waiting < waitingEach * this.limits.inFlightMax ? null : this.#refusal();
  }

  wait(turn: Turn): void {
    const { inFlightMax, inFlightBytesMax, inFlightWaitMs } = this.limits;
    const bytes = this.#waitingBytes + turn.bytes;
    if (
      this.waiting >= waitingEach * inFlightMax ||
      (bytes > inFlightBytesMax && this.waiting > 0)
    ) {
      return this.#refuse(turn);
    }
    this.#waitingBytes = bytes;
    this.#queue.push({ ...turn, until: this.#clock.now() + inFlightWaitMs });
    this.#arm(inFlightWaitMs);
  }

  leave(bytes: number): void {
    this.calls--;
    this.#bytes -= bytes;
    if (this.waiting > 0) this.#serve();
  }

  /** One that is larger than all may be has its turn when nothing else is under way. */
  #hasRoom(bytes: number): boolean {
    const { inFlightMax, inFlightBytesMax } = this.limits;
    if (this.calls >= inFlightMax) return false;
    return this.#bytes + bytes <= inFlightBytesMax || this.calls === 0;
  }

  #count(bytes: number): void {
    this.calls++;
    this.#bytes += bytes;
  }

  /** A call may be over as soon as it has begun, and leave: the loop goes on with the next. */
  #serve(): void {
    if (this.#serving) return;
    this.#serving = true;
    try {
      while (this.waiting > 0 && this.#hasRoom((this.#queue[this.#first] as Waiting).bytes)) {
        const turn = this.#take();
        this.#count(turn.bytes);
        turn.begin();
      }
    } finally {
      this.#serving = false;
    }
  }

  #take(): Waiting {
    const turn = this.#queue[this.#first] as Waiting;
    // Or all that a call is made of would be kept until many more have come.
    this.#queue[this.#first++] = null;
    this.#waitingBytes -= turn.bytes;
    if (this.#first > 1_024 && this.#first * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#first);
      this.#first = 0;
    }
    return turn;
  }

  #arm(ms: number): void {
    if (this.#armed) return;
    this.#armed = true;
    this.#clock.after(ms, () => {
      this.#armed = false;
      this.#refuseLate();
    });
  }

  #refuseLate(): void {
    const now = this.#clock.now();
    while (this.waiting > 0 && (this.#queue[this.#first] as Waiting).until <= now) {
      this.#refuse(this.#take());
    }
    // What was refused may have stood before what has room.
    this.#serve();
    if (this.waiting > 0) this.#arm((this.#queue[this.#first] as Waiting).until - now);
  }

  #refuse(turn: Turn): void {
    turn.refused(this.#refusal());
  }

  #refusal(): WaymarkError {
    this.refused++;
    const { inFlightMax: max } = this.limits;
    const text = 'the server has more to do than it can: try again later';
    return new WaymarkError('overloaded', text, { limit: 'inFlightMax', max, retryAfterMs });
  }
}
