import { describe, test } from 'vitest';
import { createMemoryEngine, recorded, within } from 'waymark/engine';
import { engineSuite, FakeClock } from 'waymark/testing';

const prefix = 'tenant\xff/';

engineSuite({
  name: 'within over memory',
  runner: { describe, test },
  keyOverheadBytes: prefix.length,
  open: async () => {
    const clock = new FakeClock();
    const engine = createMemoryEngine({ clock });
    return {
      engine: within(engine, prefix),
      clock,
      close: async () => engine[Symbol.asyncDispose](),
    };
  },
});

engineSuite({
  name: 'recorded over memory',
  runner: { describe, test },
  open: async () => {
    const clock = new FakeClock();
    const engine = recorded(createMemoryEngine({ clock }), () => {}, { clock });
    return { engine, clock, close: async () => engine[Symbol.asyncDispose]() };
  },
});
