import {
  AlikeTimer,
  type AcquireRequest,
  type Batch,
  type CallOptions,
  type Clock,
  ForwardingHost,
  type GuardedCommitOptions,
  type HeldKeys,
  type Host,
  type KeyRange,
  messageCalls,
  type Outcome,
  type Query,
  type Reading,
  type ReadOptions,
  type RecipeCall,
  type RunOptions,
  settledValue,
  type Txn,
  type WatchOptions,
} from 'waymark/engine';
import type { CallFigures, HostFigures } from './host-figures.js';

/** A host whose calls are counted. What is answered at once still is: reads and commits are counted when they are asked. */
export function measuredHost(host: Host, clock: Clock, figures: HostFigures): Host {
  return new MeasuredHost(host, clock, figures);
}

class MeasuredHost extends ForwardingHost {
  readonly #clock: Clock;
  readonly #figures: HostFigures;
  readonly #timer: AlikeTimer;

  constructor(host: Host, clock: Clock, figures: HostFigures) {
    super(host);
    this.#clock = clock;
    this.#figures = figures;
    this.#timer = new AlikeTimer(clock);
  }

  override read(namespace: string, query: Query, options?: ReadOptions): Promise<Reading> {
    const answer = this.host.read(namespace, query, options);
    // What is no namespace was refused by now.
    this.#figures.of(namespace).reads++;
    return answer;
  }

  override commit(namespace: string, txn: Txn, options?: GuardedCommitOptions): Promise<Outcome> {
    const answer = this.host.commit(namespace, txn, options);
    this.#figures.of(namespace).writes++;
    return answer;
  }

  override watch(
    namespace: string,
    ranges: readonly KeyRange[],
    options?: WatchOptions,
  ): AsyncIterable<Batch> {
    const watch = this.host.watch(namespace, ranges, options);
    this.#figures.of(namespace).reads++;
    return watch;
  }

  override acquire(
    namespace: string,
    request: AcquireRequest,
    options?: CallOptions,
  ): Promise<number | null> {
    const began = this.#timer.begin();
    const answer = this.host.acquire(namespace, request, options);
    this.#figures.of(namespace).calls++;
    const token = settledValue(answer);
    if (token === undefined) this.#awaitLock(this.#timer.underWay(began), answer);
    else this.#figures.lockAnswered(this.#timer.answered(began), token);
    return answer;
  }

  override release(namespace: string, hold: HeldKeys, options?: CallOptions): Promise<boolean> {
    const answer = this.host.release(namespace, hold, options);
    this.#figures.lockReleased();
    return answer;
  }

  override async forceUnlock(
    namespace: string,
    path: string,
    reason: string,
    options?: CallOptions,
  ): Promise<number> {
    const ended = await this.host.forceUnlock(namespace, path, reason, options);
    this.#figures.forced(ended);
    return ended;
  }

  override run<Args, Result>(
    call: RecipeCall<Args, Result>,
    namespace: string,
    args: Args,
    options?: RunOptions,
  ): Promise<Result> {
    const figures = this.#figures.callOf(call as unknown as RecipeCall<never, never>);
    const began = this.#clock.now();
    const answer = this.host.run(call, namespace, args, options);
    if (figures.waits) this.#figures.waiting(figures.recipe, 1);
    answer.then(
      (result) => {
        this.#ended(figures, began);
        figures.ok.value++;
        this.#figures.of(namespace).calls++;
        if (call.verb === messageCalls.deliver.verb) this.#delivered(args, result);
      },
      (error: unknown) => {
        this.#ended(figures, began);
        figures.failed(error);
      },
    );
    return answer;
  }

  #awaitLock(tookMs: () => number, answer: Promise<number | null>): void {
    const figures = this.#figures;
    figures.lockAwaited();
    answer.then(
      (token) => figures.lockCame(tookMs(), token),
      (error: unknown) => figures.lockFailed(error),
    );
  }

  #ended(figures: CallFigures, began: number): void {
    if (figures.waits) this.#figures.waiting(figures.recipe, -1);
    else figures.seconds.observe((this.#clock.now() - began) / 1_000);
  }

  /** What another server relays was counted there. */
  #delivered(args: unknown, result: unknown): void {
    if ((args as { readonly relayed: boolean }).relayed) return;
    this.#figures.message((result as { readonly outcome: string }).outcome);
  }
}
