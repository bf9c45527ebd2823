import { codes } from './codes.js';
import type { Connection } from './connection.js';

/** Until the preface and the client's settings are there, and a head that has begun is whole. */
const headMs = 10_000;
const acknowledgeMs = 30_000;
/** A client that has more waiting for it than should takes at least so many bytes in so long. */
const slowMs = 60_000;
const slowBytes = 65_536;
/** A client that was told to go may read so long what it was told. */
const lingerMs = 1_000;

export interface SilenceLimits {
  readonly pingAfterMs: number;
  readonly pingTimeoutMs: number;
}

/**
 * What one connection may take its time for. It is looked at now and then, with all others, so that what comes and goes a hundred
 * thousand times a second sets no timer and reads no clock.
 */
export class TimeLimits {
  readonly #connection: Connection;
  readonly #silence: SilenceLimits;
  readonly #beganAt: number;
  readonly #head = new Standstill();
  readonly #socket = new Standstill();
  readonly #windows = new Standstill();
  readonly #heard = new Standstill();
  readonly #ending = new Standstill();
  #pingedAt = 0;

  constructor(connection: Connection, silence: SilenceLimits, now: number) {
    this.#connection = connection;
    this.#silence = silence;
    this.#beganAt = now;
  }

  check(now: number): void {
    const connection = this.#connection;
    const { state, blocks, intake, frames, outlet, sending } = connection;
    if (state === 'ending') {
      if (this.#ending.lasts(now, 0, 1) >= lingerMs) connection.destroy();
      return;
    }
    // One that is not listened to cannot be heard.
    const heard = state === 'open';
    const age = now - this.#beganAt;
    if (heard && !frames.greeted && age >= headMs) return connection.destroy('silent');
    if (heard && !frames.acknowledged && age >= acknowledgeMs)
      return connection.fail(codes.settingsTimeout, 'SETTINGS not acknowledged');
    const amidHead = heard && (blocks.open !== 0 || intake.amidHead);
    if (this.#head.during(amidHead, now, blocks.count, 1) >= headMs)
      return connection.fail(codes.enhanceYourCalm, 'a head that does not end');
    const slow = Math.max(
      this.#socket.during(outlet.congested, now, outlet.sent, slowBytes),
      this.#windows.during(sending.full, now, sending.dequeued, slowBytes),
    );
    if (slow >= slowMs) return connection.destroy('slow');
    this.#listen(now, heard);
  }

  #listen(now: number, heard: boolean): void {
    const connection = this.#connection;
    const { pingAfterMs, pingTimeoutMs } = this.#silence;
    const silentMs = this.#heard.during(heard, now, connection.heard, 1);
    if (silentMs < pingAfterMs) this.#pingedAt = 0;
    else if (this.#pingedAt === 0) {
      this.#pingedAt = now;
      connection.ping();
    } else if (now - this.#pingedAt >= pingTimeoutMs) connection.destroy('silent');
  }
}

/** For how long a figure has not grown by what it should. */
class Standstill {
  #since = -1;
  #figure = 0;

  lasts(now: number, figure: number, step: number): number {
    if (this.#since < 0 || figure - this.#figure >= step) {
      this.#since = now;
      this.#figure = figure;
    }
    return now - this.#since;
  }

  /** @returns 0 when it need not grow */
  during(applies: boolean, now: number, figure: number, step: number): number {
    if (applies) return this.lasts(now, figure, step);
    this.#since = -1;
    return 0;
  }
}
