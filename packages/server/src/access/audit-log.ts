import type { Clock } from 'waymark/engine';

export interface Refusal {
  readonly face: string;
  readonly from: string;
  readonly who: string | null;
  readonly action: string;
  readonly namespace?: string | undefined;
  readonly path?: string | undefined;
}

/** Longer texts are cut: a caller could fill the log with its own. */
const textMax = 512;
/** So could one who does nothing but be refused: of more within a second the number is told. */
const refusalsMax = 100;
const secondMs = 1_000;

/** Refusals and administrative acts, one JSON object a line: who, what, when, and what came of it. */
export class AuditLog {
  readonly #clock: Clock;
  readonly #write: (line: string) => void;
  /** Of the second under way. */
  #refusals = 0;
  #since = -Infinity;
  /** Not told yet. */
  #omitted = 0;

  constructor(clock: Clock, write: (line: string) => void) {
    this.#clock = clock;
    this.#write = write;
  }

  refusal(what: Refusal & { readonly code: string }): void {
    const now = this.#clock.now();
    if (now - this.#since >= secondMs) {
      this.#since = now;
      this.#refusals = 0;
    }
    if (++this.#refusals <= refusalsMax) this.#line({ event: 'refused', ...what });
    else if (this.#omitted++ === 0) this.#tellOmitted(now);
  }

  act(what: Refusal): void {
    this.#line({ event: 'done', ...what });
  }

  /** Once the second is over. */
  #tellOmitted(now: number): void {
    this.#clock.after(this.#since + secondMs - now, () => {
      this.#line({ event: 'refused', omitted: this.#omitted });
      this.#omitted = 0;
    });
  }

  #line(facts: object): void {
    const at = new Date(this.#clock.wallNow()).toISOString();
    // JSON escapes what ends lines; two that it does not, and that some readers take for such, are escaped as well.
    const line = JSON.stringify({ audit: true, at, ...facts }, cut);
    this.#write(`${line.replace(/[\u007f-\u009f\u2028\u2029]/g, escaped)}\n`);
  }
}

function cut(_name: string, value: unknown): unknown {
  return typeof value === 'string' && value.length > textMax
    ? `${value.slice(0, textMax)}…`
    : value;
}

function escaped(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
