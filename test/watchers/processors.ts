import type { Space } from 'waymark';
import {
  type Clock,
  createLocalHost,
  createMemoryEngine,
  createSpace,
  type Engine,
  systemClock,
  systemRandom,
} from 'waymark/engine';
import { Processor } from '../../packages/server/src/watchers/processor.js';
import type { TenureParts } from '../../packages/server/src/watchers/tenure.js';
import { Turns } from '../../packages/server/src/watchers/turns.js';
import type { Sinks } from './sink.js';

export interface Running extends AsyncDisposable {
  readonly engine: Engine;
  readonly space: Space;
  readonly processor: Processor;
  readonly failures: string[];
}

/** A processor over an engine in this process, that delivers to sinks alone. */
export function process(
  sinks: Sinks,
  {
    engine = createMemoryEngine(),
    clock = systemClock,
    ...options
  }: Partial<TenureParts> & { readonly engine?: Engine; readonly clock?: Clock } = {},
): Running {
  const host = createLocalHost(engine, { clock, random: systemRandom });
  const space = createSpace(host, { clock, random: systemRandom, owner: 'test' });
  const failures: string[] = [];
  const processor = Processor.start({
    engine,
    space,
    clock,
    random: systemRandom,
    owner: 'test',
    ttlMs: 2_000,
    checkpointMs: 500,
    kinds: [sinks.kind],
    turns: new Turns({ good: 1_000, failing: 64 }),
    open: ({ record }) => {
      const settings = { format: 'structured', secrets: [], timeoutMs: 1_000 } as const;
      const target = sinks.kind.parse(record.normal, settings);
      return sinks.kind.open(target, settings, undefined as never);
    },
    tried: () => undefined,
    tracing: null,
    failed: (what, error) => failures.push(`${what}: ${String(error)}`),
    ...options,
  });
  return {
    engine,
    space,
    processor,
    failures,
    async [Symbol.asyncDispose]() {
      await processor.close();
      await space.close();
    },
  };
}
