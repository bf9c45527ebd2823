import type { Access } from '../access/access.js';
import { endable } from '../access/standing.js';
import type { Call, StreamCall } from '../grpc/call.js';

/** What a stream of watches answers, as far as it tells which of them stand. */
interface WatchAnswer {
  readonly watchId?: bigint;
  readonly created?: boolean;
  readonly canceled?: boolean;
}

export interface LastingParts {
  readonly access: Access;
  readonly call: Call;
  /** Rejects with what is told of a request that is not permitted, or not any more. */
  readonly check: (request: unknown) => Promise<void>;
  /** Throws when the caller shows a token that is none any more. */
  readonly known: () => void;
}

/**
 * A call that may last, looked at again when rules change, with all that was asked for and still stands. Whoever asks for its signal is
 * about to wait: it is followed from then on, and a lock that is free costs nothing of this.
 */
export class Lasting {
  readonly #parts: LastingParts;
  /** Requests in the order they came whose answers are still to be seen; those that are answered by being told go on standing here. */
  readonly #asked: unknown[] = [];
  readonly #watches = new Map<bigint, unknown>();
  #ending: ReturnType<typeof endable> | null = null;
  #leave = (): void => {};
  #generation: number;

  constructor(parts: LastingParts) {
    this.#parts = parts;
    this.#generation = parts.access.state.generation;
  }

  get signal(): AbortSignal {
    return this.#ended().signal;
  }

  /** Why it was ended, where it was. */
  get reason(): Error | null {
    const { call } = this.#parts;
    if (this.#ending === null || !this.#ending.signal.aborted || call.signal.aborted) return null;
    return this.#ending.signal.reason as Error;
  }

  /** Before it is checked: rules that change meanwhile are about it as well. */
  add(request: unknown): void {
    this.#asked.push(request);
  }

  /** The request that was added last is not followed: it is refused, or is over with its answer. */
  drop(): void {
    this.#asked.pop();
  }

  /** Watches are answered in the order they were asked for, and end one by one. */
  answered({ watchId = 0n, created = false, canceled = false }: WatchAnswer): void {
    if (!created) {
      if (canceled) this.#watches.delete(watchId);
      return;
    }
    const request = this.#asked.shift();
    if (!canceled) this.#watches.set(watchId, request);
  }

  close(): void {
    this.#leave();
    this.#ending?.leave();
  }

  #ended(): ReturnType<typeof endable> {
    if (this.#ending !== null) return this.#ending;
    const { access, call } = this.#parts;
    const ending = endable(call.signal);
    this.#ending = ending;
    const check = (): void => void this.#look().catch(ending.end);
    this.#leave = access.standing.add({ check, end: ending.end });
    // Rules that changed between the question and now have told nobody.
    if (access.state.generation !== this.#generation) check();
    return ending;
  }

  async #look(): Promise<void> {
    const { access, known, check } = this.#parts;
    if (!access.on) return;
    known();
    const { generation } = access.state;
    // Time alone ends tokens and nothing else.
    if (generation === this.#generation) return;
    this.#generation = generation;
    for (const request of [...this.#asked, ...this.#watches.values()]) await check(request);
  }
}

/** A call whose signal ends with what it may. */
export class FollowedCall implements Call {
  readonly #call: Call;
  readonly #lasting: Lasting;

  constructor(call: Call, lasting: Lasting) {
    this.#call = call;
    this.#lasting = lasting;
  }

  metadata(key: string): string | undefined {
    return this.#call.metadata(key);
  }

  get socket(): Call['socket'] {
    return this.#call.socket;
  }

  get signal(): AbortSignal {
    return this.#lasting.signal;
  }
}

export interface FollowedStreamParts {
  readonly call: StreamCall<unknown, unknown>;
  readonly lasting: Lasting;
  /** Whether the handler gets to see a request. */
  readonly admits: (request: unknown) => Promise<boolean>;
}

/** A conversation whose handler sees what its caller may ask for. */
export class FollowedStream extends FollowedCall implements StreamCall<unknown, unknown> {
  readonly #parts: FollowedStreamParts;

  constructor(parts: FollowedStreamParts) {
    super(parts.call, parts.lasting);
    this.#parts = parts;
  }

  send(response: unknown): Promise<void> | undefined {
    this.#parts.lasting.answered(response as WatchAnswer);
    return this.#parts.call.send(response);
  }

  sendBytes(message: Uint8Array): Promise<void> | undefined {
    return this.#parts.call.sendBytes(message);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<unknown> {
    for await (const request of this.#parts.call) {
      if (await this.#parts.admits(request)) yield request;
    }
  }
}
