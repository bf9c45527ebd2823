import type { CountedSeries, Metrics } from '../metrics.js';
import { codeOf } from './engine-figures.js';

/** Told of the calls of the binary protocol. */
export interface BinaryFigures {
  readonly called: (call: { readonly verb: number; readonly name: string }) => void;
  readonly failed: (error: unknown) => void;
}

export function describeBinary(metrics: Metrics): BinaryFigures {
  const calls = metrics.counter(
    'waymark_binary_calls_total',
    'Calls over the binary protocol, by name.',
  );
  const errors = metrics.counter(
    'waymark_binary_errors_total',
    'Of these, those that were answered by an error, by code.',
  );
  const byVerb: CountedSeries[] = [];
  return {
    called: ({ verb, name }) => (byVerb[verb] ??= calls.of({ call: name })).value++,
    failed: (error) => errors.add({ code: codeOf(error) }),
  };
}
