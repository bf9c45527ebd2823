import {
  type Batch,
  type CommitOptions,
  type Engine,
  ForwardingEngine,
  type KeyRange,
  type Lease,
  type LeaseId,
  type Outcome,
  type Query,
  type Reading,
  type ReadOptions,
  type Txn,
  WaymarkError,
  type WatchOptions,
} from 'waymark/engine';

/** An engine that can be cut off from the process that uses it: calls then wait for ever, and what had been asked may still be done. */
export class CutOff extends ForwardingEngine {
  #cut = false;
  readonly #mended: (() => void)[] = [];
  #paused: Promise<void> | null = null;

  /** Nothing comes through any more. */
  cut(): void {
    this.#cut = true;
  }

  /** As SIGSTOP and SIGCONT for all that asks the engine. */
  stop(): () => void {
    this.#paused = new Promise((resolve) => this.#mended.push(resolve));
    return () => {
      this.#paused = null;
      for (const mended of this.#mended.splice(0)) mended();
    };
  }

  override async read(query: Query, options?: ReadOptions): Promise<Reading> {
    await this.#through();
    return await super.read(query, options);
  }

  override async commit(txn: Txn, options?: CommitOptions): Promise<Outcome> {
    await this.#through();
    const outcome = await super.commit(txn, options);
    await this.#through();
    return outcome;
  }

  override async renew(id: LeaseId): Promise<Lease> {
    await this.#through();
    return await super.renew(id);
  }

  override async *watch(
    ranges: readonly KeyRange[],
    options?: WatchOptions,
  ): AsyncGenerator<Batch> {
    await this.#through();
    for await (const batch of super.watch(ranges, options)) {
      await this.#through();
      yield batch;
    }
  }

  /** It stays open: others use it. */
  override [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  async #through(): Promise<void> {
    await this.#paused;
    if (this.#cut) throw new WaymarkError('unavailable', 'cut off by the test');
  }
}

export function cutOff(engine: Engine): CutOff {
  return new CutOff(engine);
}
