import { describe, test } from 'vitest';
import { createMemoryEngine } from 'waymark/engine';
import { engineSuite, FakeClock } from 'waymark/testing';

engineSuite({
  name: 'memory',
  runner: { describe, test },
  open: async () => {
    const clock = new FakeClock();
    const engine = createMemoryEngine({ clock });
    return { engine, clock, close: async () => engine[Symbol.asyncDispose]() };
  },
});
