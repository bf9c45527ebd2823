import { statfs } from 'node:fs/promises';
import { type Clock, WaymarkError } from 'waymark/engine';

/**
 * Whether a node may write (rule D4.4). A commit that found the disk full was given up whole, so the next one may be tried as soon as there is room; any other failure may
 * have been a flush that the disk refused, of which nobody knows what it left (fsync is not to be asked again): then nothing is written until the process is started anew. File systems that look
 * for room late refuse a flush for want of it, so what the disk said does not tell the one from the other: whether the commit is seen does.
 */
export class Room {
  #state: 'writable' | 'full' | 'failed' = 'writable';
  #cause: unknown = null;
  #neededBytes = 0;
  #lookAt = 0;
  readonly #directory: string;
  readonly #clock: Clock;
  readonly #told: (message: string) => void;

  constructor(directory: string, clock: Clock, told: (message: string) => void) {
    this.#directory = directory;
    this.#clock = clock;
    this.#told = told;
  }

  get writable(): boolean {
    return this.#state === 'writable';
  }

  /** Nobody knows what is on the disk: a commit upon it would make what was lost look flushed. */
  get broken(): boolean {
    return this.#state === 'failed';
  }

  /** @throws {WaymarkError} `storage_full` while there is no room, `unavailable` after another failure */
  async check(): Promise<void> {
    if (this.#state === 'writable') return;
    if (this.#state === 'full' && this.#clock.now() >= this.#lookAt) {
      this.#lookAt = this.#clock.now() + lookMs;
      if (!(await this.#isShort())) {
        this.#state = 'writable';
        this.#told(`there is room again in ${this.#directory}: writes are taken`);
        return;
      }
    }
    throw this.error();
  }

  /** What is thrown of a group that failed, and from then on. @param group.seen  it was committed, and nobody knows whether it is on the disk */
  async failed(
    cause: unknown,
    { bytes, seen }: { readonly bytes: number; readonly seen: boolean },
  ): Promise<WaymarkError> {
    this.#neededBytes = roomBytesMin + bytes * roomFactor;
    this.#cause = cause;
    const full = !seen && (isFull(cause) || (isIo(cause) && (await this.#isShort())));
    if (this.#state !== 'failed') this.#state = full ? 'full' : 'failed';
    this.#lookAt = this.#clock.now() + lookMs;
    const error = this.error();
    this.#told(error.message);
    if (full) return error;
    return new WaymarkError('uncertain', error.message, { file: this.#directory }, cause);
  }

  error(): WaymarkError {
    const facts = { file: this.#directory };
    if (this.#state === 'full') {
      const text = `no room left in ${this.#directory}: it takes no writes until there is`;
      return new WaymarkError(
        'storage_full',
        text,
        { ...facts, retryAfterMs: lookMs },
        this.#cause,
      );
    }
    const message = this.#cause instanceof Error ? this.#cause.message : String(this.#cause);
    const text = `${this.#directory} cannot be written, restart to go on: ${message}`;
    return new WaymarkError('unavailable', text, facts, this.#cause);
  }

  async #isShort(): Promise<boolean> {
    return (await this.#freeBytes()) <= this.#neededBytes;
  }

  async #freeBytes(): Promise<number> {
    try {
      const { bavail, bsize } = await statfs(this.#directory);
      return bavail * bsize;
    } catch {
      return 0;
    }
  }
}

/** How often it is looked whether there is room again, at most. */
const lookMs = 200;
/** A commit writes the changed pages of the tree anew: several times what it was given. */
const roomBytesMin = 1_048_576;
const roomFactor = 4;

const [eio, efbig, enospc, edquot] = [5, 27, 28, 122];

function isFull(cause: unknown): boolean {
  return [efbig, enospc, edquot].includes((cause as { code?: number }).code ?? 0);
}

/** LMDB says it of a write that the disk cut short. */
function isIo(cause: unknown): boolean {
  return (cause as { code?: number }).code === eio;
}
