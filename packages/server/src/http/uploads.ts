import { limits, WaymarkError } from 'waymark';

/** What each connection has room for anyway: shorter bodies are not counted while they come. */
const freeBytes = 16_384;

/**
 * Bodies that are still coming. They are bounded by themselves, by what has come of them: a body that was announced and does not come takes
 * nothing from the calls that could be done meanwhile. Where there are too many the oldest gives way. Whoever sends as fast as they can is
 * newer than whoever does not, so that slow ones cannot keep out the others.
 */
export class Uploads {
  readonly #bytesMax: number;
  /** Oldest first. */
  readonly #coming = new Set<Upload>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Of all of them, as far as they count. */
  get bytes(): number {
    return this.#bytes;
  }

  /** @param refused  it gave way, and has ended */
  begin(refused: (error: WaymarkError) => void): Upload {
    const upload: Upload = new Upload({
      grown: (bytes) => {
        this.#bytes += bytes;
        this.#coming.add(upload);
        while (this.#bytes > this.#bytesMax) this.#refuseOldest();
      },
      ended: () => {
        this.#bytes -= upload.counted;
        this.#coming.delete(upload);
      },
      refused,
    });
    return upload;
  }

  #refuseOldest(): void {
    const [oldest] = this.#coming;
    const facts = { limit: 'inFlightBytesMax', max: this.#bytesMax, retryAfterMs: 1_000 };
    const text = 'the server has more bodies coming than it can hold: send faster, or later';
    oldest?.refuse(new WaymarkError('overloaded', text, facts));
  }
}

interface UploadEvents {
  readonly grown: (bytes: number) => void;
  readonly ended: () => void;
  readonly refused: (error: WaymarkError) => void;
}

export class Upload {
  /** What has come. */
  bytes = 0;
  readonly #events: UploadEvents;
  #ended = false;

  constructor(events: UploadEvents) {
    this.#events = events;
  }

  /** Of what has come: what is longer than a body may be is refused for that, or written on as it comes. */
  get counted(): number {
    return this.bytes > freeBytes ? Math.min(this.bytes, limits.requestBytesMax) : 0;
  }

  add(bytes: number): void {
    if (this.#ended) return;
    const before = this.counted;
    this.bytes += bytes;
    if (this.counted > before) this.#events.grown(this.counted - before);
  }

  /** It is there, or will not come. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#events.ended();
  }

  refuse(error: WaymarkError): void {
    this.end();
    this.#events.refused(error);
  }
}
