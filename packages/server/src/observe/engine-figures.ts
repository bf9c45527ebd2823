import { type EngineMeter, isWaymarkError, type MeasuredCall } from 'waymark/engine';
import type { Counter, Metrics, ObservedSeries } from '../metrics.js';
import { publish } from './channels.js';

/** Seconds: from a commit in memory to one that waits for a disk or a cluster. */
export const engineBuckets = [
  0.000_01, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1,
  0.25, 0.5, 1, 2.5, 10,
];

/** What is counted of an engine's calls, of clients and of the server's own alike. */
export class EngineFigures implements EngineMeter {
  readonly calls: Readonly<Record<MeasuredCall, ObservedSeries>>;
  readonly #errors: Counter;
  #watches = 0;
  #batches = 0;
  #changes = 0;

  constructor(metrics: Metrics) {
    const seconds = metrics.histogram(
      'waymark_engine_call_seconds',
      'Time from a call of the engine to its answer, by call.',
      engineBuckets,
    );
    const of = (call: MeasuredCall): ObservedSeries => seconds.of({ call });
    const reads = { read: of('read'), commit: of('commit'), compact: of('compact') };
    this.calls = { ...reads, grant: of('grant'), renew: of('renew'), revoke: of('revoke') };
    this.#errors = metrics.counter(
      'waymark_engine_errors_total',
      'Calls of the engine that failed, by call and code.',
    );
    metrics.gauge('waymark_engine_watches', 'Open watches of the engine.', () => this.#watches);
    metrics.total(
      'waymark_engine_watch_batches_total',
      'Batches that watches of the engine gave, bookmarks among them.',
      () => this.#batches,
    );
    metrics.total(
      'waymark_engine_watch_changes_total',
      'Changes that watches of the engine gave.',
      () => this.#changes,
    );
  }

  get watches(): number {
    return this.#watches;
  }

  ended(call: MeasuredCall, tookMs: number, error?: unknown): void {
    this.calls[call].observe(tookMs / 1_000);
    if (error !== undefined) this.#errors.add({ call, code: codeOf(error) });
    publish('engine', () => ({ call, tookMs, error }));
  }

  endedAlike(call: MeasuredCall): void {
    this.calls[call].again();
  }

  watchOpened(): void {
    this.#watches++;
  }

  watchClosed(): void {
    this.#watches--;
  }

  batch(changes: number): void {
    this.#batches++;
    this.#changes += changes;
  }
}

/** As a label: one of a closed set. */
export function codeOf(error: unknown): string {
  if (isWaymarkError(error)) return error.code;
  // Reasons of signals may be anything.
  const given = error instanceof Error && !/^(Abort|Timeout)Error$/.test(error.name);
  return given ? 'internal' : 'aborted';
}
